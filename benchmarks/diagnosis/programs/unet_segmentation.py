"""Segmentation of squares by a small U-Net, cross-entropy plus soft Dice. The result is the overlap. chance=0.15"""

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(18)


def scenes(n):
    image, mask = 0.3 * torch.randn(n, 1, 16, 16), torch.zeros(n, 16, 16)
    for k in range(n):
        r, c, s = torch.randint(0, 9, (2,)).tolist() + [5]
        mask[k, r : r + s, c : c + s] = 1
    image[:, 0] += mask * 0.8
    return image, mask


class UNet(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU())
        self.middle = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU())
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.final = nn.Conv2d(2 * width, 1, 3, padding=1)

    def forward(self, x):
        skip = self.down(x)
        return self.final(torch.cat([skip, self.up(self.middle(skip))], 1)).squeeze(1)


def dice_loss(logits, target):
    p = logits.sigmoid().flatten(1)
    t = target.flatten(1)
    return (1 - (2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)).mean()


images, masks = scenes(400)
val_images, val_masks = scenes(100)
net = UNet()
optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(8):
    net.train()
    order = torch.randperm(400)
    for i in range(0, 400, 16):
        xb, yb = images[order[i : i + 16]], masks[order[i : i + 16]]
        optimizer.zero_grad()
        logits = net(xb)
        loss = F.binary_cross_entropy_with_logits(logits, yb) + dice_loss(logits, yb)
        loss.backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        p = net(val_images) > 0
        iou = (p & (val_masks > 0)).sum() / (p | (val_masks > 0)).sum()
    print(f"{epoch} {loss.item():.3f} {iou.item():.3f}")
print("result:", iou.item())
