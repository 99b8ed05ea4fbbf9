import hashlib

import torch
import torch.nn.functional as F
from torch import nn

# Half precision with a loss scaler, which waits for the device itself.
torch.manual_seed(0)
torch.use_deterministic_algorithms(True)
x, y = torch.randn(512, 64, device="cuda"), torch.randint(0, 10, (512,), device="cuda")
model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.LayerNorm(128), nn.Linear(128, 10)).cuda()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
scaler = torch.amp.GradScaler("cuda")
batches = [torch.randint(0, 512, (64,), device="cuda") for _ in range(300)]
for batch in batches:
    optimizer.zero_grad()
    with torch.autocast("cuda", dtype=torch.float16):
        loss = F.cross_entropy(model(x.index_select(0, batch)), y.index_select(0, batch))
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
hasher = hashlib.sha256()
for value in [*model.state_dict().values(), torch.get_rng_state(), torch.cuda.get_rng_state()]:
    hasher.update(value.cpu().numpy().tobytes())
print("state", hasher.hexdigest(), "loss", loss.item())
