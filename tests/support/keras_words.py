"""Keras' attributes, an object of each class that has them, and a small compiled model."""

from __future__ import annotations

import numpy as np
from nets import learnable

from fastmlp.keras import losses, optimizers, utils
from fastmlp.keras.layers import Activation, Dense
from fastmlp.keras.models import Sequential

N, D, K = 90, 12, 3
LOGITS = losses.SparseCategoricalCrossentropy(from_logits=True)

# What Keras 3.15 lets a program set: test_keras_parity.py compares these lists with Keras'.
LAYER = (
    "activation activity_regularizer autocast build built call_signature_parameters dtype_policy input_spec "
    "name quantize supports_jit supports_masking trainable"
)
OPTIMIZER = (
    "built clipnorm clipvalue ema_momentum ema_overwrite_frequency global_clipnorm "
    "gradient_accumulation_steps learning_rate loss_scale_factor name use_ema weight_decay"
)
ATTRIBUTES = {
    "Dense": f"{LAYER} bias bias_constraint bias_initializer bias_regularizer kernel_constraint "
    "kernel_initializer kernel_regularizer lora_alpha lora_enabled lora_rank quantization_config units "
    "use_bias",
    "Activation": LAYER,
    "SGD": f"{OPTIMIZER} momentum nesterov",
    "Adam": f"{OPTIMIZER} amsgrad beta_1 beta_2 epsilon",
    "CategoricalCrossentropy": "axis fn from_logits label_smoothing name reduction",
    "SparseCategoricalCrossentropy": "fn from_logits ignore_class name reduction",
    "Sequential": "activity_regularizer autocast build built call_signature_parameters compiled "
    "distribute_reduction_method dtype_policy history input_spec jit_compile layers loss name optimizer "
    "predict_function quantize run_eagerly steps_per_execution stop_training supports_jit supports_masking "
    "test_function train_function trainable unrolled_steps_per_execution",
}
OURS = {  # and what else there is, in Keras or here
    "Dense": "kernel inputs dtype weights trainable_weights",
    "Activation": "inputs",
    "SGD": "iterations rule variables decay",
    "Adam": "iterations rule variables decay",
    "CategoricalCrossentropy": "clip sparse word loss dtype",
    "SparseCategoricalCrossentropy": "clip sparse word loss dtype axis",
    "Sequential": "inputs metrics metrics_names input_shape output_shape weights note",
}
OBEYED = {
    "Dense": {"activation"},
    "Activation": {"activation"},
    "SGD": {"learning_rate", "lr"},
    "Adam": {"learning_rate", "lr"},
    "Sequential": {"backend", "stop_training"},
}


def settled_data():
    X, y = learnable(4, N, D, K)
    return (X / 255).astype(np.float32), y


def net(optimizer=None, loss=None, metrics=("accuracy",), act="relu", last=("softmax",)):
    utils.set_random_seed(1)
    model = Sequential([Dense(8, act, input_dim=D), Dense(K), *map(Activation, last)])
    model.compile(
        optimizer or optimizers.SGD(0.1, 0.9), loss or losses.SparseCategoricalCrossentropy(), metrics
    )
    return model


def objects():
    model = net()
    return {
        "Dense": model.layers[0],
        "Activation": model.layers[-1],
        "SGD": model.optimizer,
        "Adam": optimizers.Adam(),
        "CategoricalCrossentropy": losses.CategoricalCrossentropy(),
        "SparseCategoricalCrossentropy": model.loss,
        "Sequential": model,
    }
