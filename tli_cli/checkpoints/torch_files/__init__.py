"""Files of torch.save and directories of torch.distributed.checkpoint, read without their loaders."""
