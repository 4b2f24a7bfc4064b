"""The Faust app: takes events in, keeps the features, re-keys, archives, sets bad ones aside."""
