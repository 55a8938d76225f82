"""The documents, carried out: see CONTRIBUTING.md, "How documents are tested"."""
