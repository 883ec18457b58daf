"""What an agent's installation consists of: the CRD, and the renderer of its one manifest."""
