import os
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import torch
from this_text import text
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed

from digest import report

set_seed(0)
torch.set_num_threads(1)
chars = sorted(set(text))
ids = torch.tensor([chars.index(c) for c in text])
blocks = [ids[i : i + 32] for i in range(0, len(ids) - 32, 8)]
data = [{"input_ids": b, "labels": b} for b in blocks]
config = GPT2Config(
    vocab_size=len(chars), n_positions=32, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
)
model = GPT2LMHeadModel(config)
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        output_dir=folder,
        max_steps=60,
        per_device_train_batch_size=16,
        gradient_accumulation_steps=2,
        learning_rate=3e-3,
        eval_strategy="steps",
        eval_steps=20,
        logging_steps=20,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=data[:-60], eval_dataset=data[-60:])
    trainer.train()
report(model)
