"""Lightning's Trainer with the defaults that this project's data and networks need."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

from bball_pl.model.batch_norm import SyncBatchNormPlugin


class FitTrainer(L.Trainer):
    """Lightning's Trainer; see its documentation for every option.

    Args:
        precision: auto takes bf16-mixed where GPU or CPU has bfloat16 in hardware and 32-true elsewhere.
        sync_batchnorm: shares batch norm statistics between processes; timm's fused activations are kept, and it
            works on CPUs as well.
        deterministic: algorithms that repeat bit for bit, at some cost on a GPU.
    """

    def __init__(
        self,
        *,
        precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto",
        sync_batchnorm: bool = False,
        **kwargs: Any,
    ):
        resolved = best_precision(kwargs.get("accelerator", "auto")) if precision == "auto" else precision
        plugins = kwargs.pop("plugins", None) or []
        plugins = list(plugins) if isinstance(plugins, list) else [plugins]
        if sync_batchnorm:
            plugins.append(SyncBatchNormPlugin())
        if SLURMEnvironment.detect():
            # Requeueing by Lightning would put its checkpoint into the root folder and open a second run folder;
            # on SIGTERM GracefulStop saves into the run's own.
            plugins.append(SLURMEnvironment(auto_requeue=False))
        super().__init__(
            precision=resolved,
            plugins=plugins,
            # The datamodule's samplers know rank and world size themselves; Lightning's would pad and reorder.
            use_distributed_sampler=False,
            **kwargs,
        )

    def fit(
        self,
        model: L.LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: L.LightningDataModule | None = None,
        ckpt_path: str | Path | None = None,
        weights_only: bool | None = None,
    ) -> None:
        """Fit as Lightning does, with `self.ckpt_path` known from the start: callbacks ask for it in `setup`."""
        self.ckpt_path = ckpt_path
        try:
            super().fit(model, train_dataloaders, val_dataloaders, datamodule, weights_only=weights_only)
        except SystemExit as ended:
            # Lightning makes an exit with status 1, that of a fault, of Ctrl-C.
            if isinstance(ended.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise
        finally:
            # What is tested afterwards is the model that is given, not this checkpoint.
            self.ckpt_path = None


def best_precision(accelerator: object = "auto") -> Literal["bf16-mixed", "32-true"]:
    """Choose bfloat16 where the device that Lightning would take has it in hardware, else 32 bits.

    bfloat16 has the range of float32, so no loss scaling is needed; emulated in software it is slower than float32.

    Args:
        accelerator: Lightning's option; anything but auto, gpu, cuda and cpu gets 32 bits.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if accelerator == "cpu" or (accelerator == "auto" and not torch.backends.mps.is_available()):
        found = torch.cpu.get_capabilities()
        if any(found.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")):
            return "bf16-mixed"
    return "32-true"
