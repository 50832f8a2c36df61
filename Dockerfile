# clipbench for the processor:  docker build -t clipbench .
# for NVIDIA GPUs:              docker build -t clipbench:cuda --build-arg TORCH_INDEX=https://pypi.org/simple .
# Run it where the videos are:  docker run --rm --shm-size 2g -v "$PWD:/runs" clipbench fit --config multires
# and on the GPUs:              docker run --rm --gpus all --shm-size 2g -v "$PWD:/runs" clipbench:cuda fit --config multires
#
# PyTorch's wheels bring their CUDA libraries; the host has NVIDIA's driver and container toolkit, so one base serves both.
FROM python:3.13-slim

# Where torch and torchvision are taken from: wheels without CUDA by default.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# Of the package: all but torchcodec, which needs FFmpeg's libraries.
ARG EXTRAS=wandb,zoo,report,histograms

ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 XDG_CACHE_HOME=/runs/.cache

# OpenCV and scikit-image are headless; LMDB, PyAV and the rest bring what they need.
RUN pip install --index-url "$TORCH_INDEX" torch torchvision

COPY . /src
RUN pip install "/src[$EXTRAS]" && rm -rf /src

# Run folders, leaderboards and caches are left here; a user of the host may own it (docker run --user "$(id -u):$(id -g)").
WORKDIR /runs
ENTRYPOINT ["clipbench"]
CMD ["--help"]
