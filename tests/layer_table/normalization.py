"""Normalization."""

from __future__ import annotations

from .case import case

CASES = [
    case("BatchNorm1d", lambda n: n.BatchNorm1d(3), (6, 3)),
    case("BatchNorm1d/sequence", lambda n: n.BatchNorm1d(3, eps=1e-3, momentum=0.3), (4, 3, 5)),
    case("BatchNorm2d", lambda n: n.BatchNorm2d(3), (4, 3, 2, 5)),
    case("BatchNorm2d/average", lambda n: n.BatchNorm2d(3, momentum=None), (4, 3, 2, 5)),
    case("BatchNorm2d/no-affine", lambda n: n.BatchNorm2d(3, affine=False), (4, 3, 2, 5)),
    case("BatchNorm2d/no-statistics", lambda n: n.BatchNorm2d(3, track_running_stats=False), (4, 3, 2, 5)),
    case("LayerNorm", lambda n: n.LayerNorm(5), (4, 3, 5)),
    case("LayerNorm/two-axes", lambda n: n.LayerNorm((3, 5), eps=1e-2, bias=False), (4, 3, 5)),
    case("LayerNorm/no-affine", lambda n: n.LayerNorm([5], elementwise_affine=False), (4, 5)),
    case("GroupNorm", lambda n: n.GroupNorm(2, 4), (3, 4, 5)),
    case("GroupNorm/no-affine", lambda n: n.GroupNorm(4, 4, affine=False), (3, 4, 2, 2)),
    case("BatchNorm3d", lambda n: n.BatchNorm3d(2), (3, 2, 2, 1, 3)),
    case("InstanceNorm1d", lambda n: n.InstanceNorm1d(3), (2, 3, 5)),
    case("InstanceNorm1d/one sample", lambda n: n.InstanceNorm1d(3, affine=True), (3, 5)),
    case("InstanceNorm2d", lambda n: n.InstanceNorm2d(3, affine=True, track_running_stats=True), (2, 3, 2, 4)),
    case("InstanceNorm2d/momentum", lambda n: n.InstanceNorm2d(3, 1e-3, 0.3, True, True), (2, 3, 2, 4)),
    case("InstanceNorm3d", lambda n: n.InstanceNorm3d(2, affine=True), (2, 2, 2, 1, 3)),
    case("RMSNorm", lambda n: n.RMSNorm(5), (4, 3, 5)),
    case("RMSNorm/two-axes", lambda n: n.RMSNorm((3, 5), 1e-2), (4, 3, 5)),
    case("RMSNorm/no-affine", lambda n: n.RMSNorm([5], elementwise_affine=False), (4, 5)),
    case("LocalResponseNorm", lambda n: n.LocalResponseNorm(2), (2, 4, 3)),
    case("LocalResponseNorm/arguments", lambda n: n.LocalResponseNorm(3, 0.5, 0.6, 1.5), (2, 5, 2, 2)),
]
