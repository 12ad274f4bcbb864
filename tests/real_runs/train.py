"""Train a tiny random model with TRL on the CPU: `python train.py dpo|reward|grpo OUT STEPS [--resume]`.

Nothing is downloaded: model and tokenizer are made here. What counts is what the trainers write into OUT.
"""

import json
import sys
from pathlib import Path
from typing import Any

from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
    TrainerCallback,
    set_seed,
)
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, RewardConfig, RewardTrainer

WORDS = "good bad yes no the a red blue sky sea sum of two and three is what color answer".split()
SAVE_EVERY = 10


class LinesCallback(TrainerCallback):  # type: ignore[misc]
    """Appends each log entry to a file, as many teams do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps({**(logs or {}), "step": state.global_step}) + "\n")


def tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {word: at for at, word in enumerate(["<pad>", "<eos>", "<unk>", *WORDS])}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>",
        chat_template="{% for m in messages %}{{ m['content'] }} {% endfor %}",
    )  # fmt: skip


def model(kind: type[Any], words: PreTrainedTokenizerFast, **more: Any) -> Any:
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64, pad_token_id=words.pad_token_id, eos_token_id=words.eos_token_id, **more,
    )  # fmt: skip
    return kind(config)


def longer_is_better(completions: list[str], **_: Any) -> list[float]:
    return [float(len(text)) for text in completions]


def main(kind: str, out: Path, steps: int, resume: bool) -> None:
    set_seed(1)
    words = tokenizer()
    pairs = [
        {"prompt": "what color is the sky", "chosen": f"the sky is {WORDS[n % 9]}", "rejected": "bad answer"}
        for n in range(64)
    ]
    shared = {
        "output_dir": str(out), "max_steps": steps, "save_steps": SAVE_EVERY, "logging_steps": 1, "use_cpu": True,
        "report_to": ["tensorboard"], "disable_tqdm": True, "bf16": False,
        "per_device_train_batch_size": 4,
    }  # fmt: skip
    callbacks = [LinesCallback(out / "log_history.jsonl")]
    out.mkdir(parents=True, exist_ok=True)
    if kind == "dpo":
        trainer = DPOTrainer(
            model(LlamaForCausalLM, words), ref_model=model(LlamaForCausalLM, words),
            args=DPOConfig(**shared), train_dataset=Dataset.from_list(pairs),
            processing_class=words, callbacks=callbacks,
        )  # fmt: skip
    elif kind == "reward":
        trainer = RewardTrainer(
            model(LlamaForSequenceClassification, words, num_labels=1), args=RewardConfig(**shared),
            train_dataset=Dataset.from_list(pairs), processing_class=words, callbacks=callbacks,
        )  # fmt: skip
    else:
        # A resumed run with the same settings would write the same bytes again.
        more = {"num_generations": 4, "max_completion_length": 6, "temperature": 0.7 if resume else 1.0}
        config = GRPOConfig(**shared, **more, log_completions=True)
        prompts = Dataset.from_list([{"prompt": pair["prompt"]} for pair in pairs])
        trainer = GRPOTrainer(
            model(LlamaForCausalLM, words), longer_is_better, args=config, train_dataset=prompts,
            processing_class=words, callbacks=callbacks,
        )  # fmt: skip
    trainer.train(resume_from_checkpoint=str(out / f"checkpoint-{SAVE_EVERY}") if resume else None)
    trainer.save_state()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), "--resume" in sys.argv)
