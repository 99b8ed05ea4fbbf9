"""A small, ordinary training script: a two-layer network on scikit-learn's 8x8 digits.

It knows nothing of losscope. With --softmax it applies a softmax before the cross-entropy, a common
mistake that training survives but never recovers from.
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split


class Net(nn.Module):
    def __init__(self, softmax: bool) -> None:
        super().__init__()
        self.hidden = nn.Linear(64, 128)
        self.output = nn.Linear(128, 10)
        self.softmax = softmax

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.output(torch.relu(self.hidden(x)))
        return torch.softmax(x, dim=1) if self.softmax else x


def evaluate(model: nn.Module, loader: DataLoader, criterion: nn.Module) -> tuple[float, float]:
    model.eval()
    loss = right = count = 0.0
    with torch.no_grad():
        for x, y in loader:
            output = model(x)
            loss += criterion(output, y).item() * len(y)
            right += (output.argmax(1) == y).sum().item()
            count += len(y)
    model.train()
    return loss / count, right / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--softmax", action="store_true", help="plant the mistake")
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()

    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))
    training, validation = random_split(data, [1500, 297])
    train_loader = DataLoader(training, batch_size=64, shuffle=True)
    validation_loader = DataLoader(validation, batch_size=297)

    model = Net(options.softmax)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for epoch in range(options.epochs):
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
        if epoch % 5 == 4:
            loss, accuracy = evaluate(model, validation_loader, criterion)
            print(f"epoch {epoch + 1:2d}  validation loss {loss:.4f}  accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
