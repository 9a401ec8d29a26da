"""What alertgraph is compared with: small servers, each an honest try at the same work."""
