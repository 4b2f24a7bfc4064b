"""The embedded model server: TF Serving's protocol on one machine (DESIGN, D5).

It stands in for `tensorflow/serving`: the same gRPC and REST calls, configuration file, version
policies, labels, warm-up records, states, status codes and messages. Where a comment names a
`.cc` file, that file of github.com/tensorflow/serving is the source of the behaviour.

docs/model-server.md compares the two behaviour by behaviour, and names the test of each.
What differs, on purpose: a version that cannot be loaded ends at once (the real server first
tries five more times, a minute apart), and so does one whose weights are missing (the real one
serves it); a directory without `saved_model.pb` or `saved_model.pbtxt` is no version yet; a
configuration file that does not exist is waited for; the ports open before the models are loaded.
Tensors of types that our models do not use (bfloat16, complex, quantized) are refused.
Version labels behave as under `--allow_version_labels_for_unavailable_models=true`, which the
real server needs as well to start with labels in its file.
"""

import os

# TensorFlow's C++ side reads it once, when it is loaded: before any module here imports it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
