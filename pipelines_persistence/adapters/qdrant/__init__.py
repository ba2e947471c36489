"""What Qdrant in the process and Qdrant on a server have in common: names, notation, what either accepts and should not."""
