"""Data sets of a million videos: fetched, prepared as shards, streamed; with Ray where a cluster is to do it."""
