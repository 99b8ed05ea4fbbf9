import hashlib

import torch
import torch.nn.functional as F
from torch import nn

# A step that waits for the device raises from here on, whoever waits.
torch.manual_seed(0)
torch.use_deterministic_algorithms(True)
x, y = torch.randn(512, 64, device="cuda"), torch.randint(0, 10, (512,), device="cuda")
model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.LayerNorm(128), nn.Linear(128, 10)).cuda()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
batches = [torch.randint(0, 512, (64,), device="cuda") for _ in range(300)]
for step, batch in enumerate(batches):
    if step == 5:
        torch.cuda.set_sync_debug_mode("error")
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x.index_select(0, batch)), y.index_select(0, batch))
    loss.backward()
    optimizer.step()
torch.cuda.set_sync_debug_mode("default")
hasher = hashlib.sha256()
for value in [*model.state_dict().values(), torch.get_rng_state(), torch.cuda.get_rng_state()]:
    hasher.update(value.cpu().numpy().tobytes())
print("state", hasher.hexdigest(), "loss", loss.item())
