"""Reading symbols out of frames with CTC. The result is minus the loss per symbol. chance=-3"""

import torch
import torch.nn as nn

torch.manual_seed(35)
SYMBOLS, FRAMES = 5, 24
shapes = torch.randn(SYMBOLS + 1, 8)


def words(n):
    frames, labels = torch.randn(n, FRAMES, 8) * 0.4, torch.zeros(n, 4, dtype=torch.long)
    for k in range(n):
        for place in range(4):
            s = int(torch.randint(1, SYMBOLS + 1, (1,)))
            labels[k, place] = s
            frames[k, 6 * place + 1 : 6 * place + 4] += shapes[s]
    return frames, labels


class Recogniser(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(8, 32, 5, padding=2)
        self.head = nn.Linear(32, SYMBOLS + 1)

    def forward(self, x):
        h = torch.relu(self.conv(x.transpose(1, 2))).transpose(1, 2)
        return self.head(h).log_softmax(2).transpose(0, 1)


model = Recogniser()
ctc = nn.CTCLoss(blank=0)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
lengths = torch.full((32,), FRAMES), torch.full((32,), 4)
for step in range(200):
    frames, labels = words(32)
    loss = ctc(model(frames), labels, *lengths)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with torch.no_grad():
    frames, labels = words(32)
    print("result:", -ctc(model(frames), labels, *lengths).item())
