# SPDX-License-Identifier: MIT
"""The benchmark of `make bench`: every case side by side, on one machine, in one run."""
