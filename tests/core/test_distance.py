"""The distance transform against scipy's."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from services.core.distance import FAR, signed_distance

masks = arrays.arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14)))
spacings = st.tuples(st.floats(0.2, 5.0), st.floats(0.2, 5.0))


@settings(deadline=None, max_examples=200)
@given(masks, spacings)
def test_distance_to_the_other_kind(mask: np.ndarray, spacing: tuple[float, float]) -> None:
    found = signed_distance(mask, spacing)
    assert found.dtype == np.float32
    if mask.all() or not mask.any():
        assert np.array_equal(found, np.where(mask, FAR, -FAR))
        return
    inside = ndimage.distance_transform_edt(mask, sampling=spacing)
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    np.testing.assert_allclose(found, inside - outside, rtol=1e-5, atol=1e-5)
