"""Teach a backbone the moves on rendered scenes, before there is a real photo, and write the weights as one file.

python scripts/pretrain.py                                              # tf_efficientnet_lite0, a CPU overnight
python scripts/pretrain.py --scenes 3000 --epochs "[2, 2]" --out data/court.safetensors
python scripts/pretrain.py --backbone inception_v3 --weights inception_v3.safetensors --sizes "[299]" --epochs "[4]"
python scripts/pretrain.py --options "[--trainer.devices, '4', --trainer.strategy, ddp]"

Stopped, the same command goes on where it was.
"""

from jsonargparse import auto_cli

from bball_pl.errors import exit_on_error
from bball_pl.model.pretrain import pretrain

if __name__ == "__main__":
    with exit_on_error():
        auto_cli(pretrain, as_positional=False)
