"""Losses of embeddings: pairs, triplets, many candidates, margins on angles, and without negatives."""
