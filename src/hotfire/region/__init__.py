"""The local AWS region: SageMaker's protocols over this machine's processes."""
