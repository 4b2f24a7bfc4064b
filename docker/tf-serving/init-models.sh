#!/bin/sh
# Give TensorFlow Serving a configuration to start with, where the trainer has written none yet.
#
# The server reads --model_config_file once, at start, and ends if it is missing or has no bytes
# (it maps the file into memory, and no bytes cannot be mapped). It does accept an empty list: it
# then serves nothing and waits for HandleReloadConfigRequest, by which the trainer adds both
# models. Only a list may be followed by another list, so this is also the kind to begin with.
set -eu

config="${1:?path of the configuration file}"

if [ -s "$config" ]; then
    echo "kept $config"
    exit 0
fi

# Written beside and moved, so that no reader sees half of it.
printf 'model_config_list {}\n' > "$config.init"
mv "$config.init" "$config"
echo "wrote an empty list to $config"
