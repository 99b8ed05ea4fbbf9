"""What a loss looks like in an autograd graph: a safe view of nodes, and the shapes that losses share."""
