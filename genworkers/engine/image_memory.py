"""How much memory the pictures of a job take, said before it begins. No tensors here.

An upper bound, counted from what is alive at once while a picture is enlarged, laid on its background and made a file.
"""

from genworkers.contract.image import ImageRequest
from genworkers.engine.errors import EngineError

CHANNELS = 4
# Copies of a picture at its full size that work on one takes, and what laying it into a start picture takes beside.
WORK_COPIES = 8
MASK_COPIES = 6
# A walk keeps its frames as the net paints them, in floats, and enlarges one at a time.
WALK_FRAME_BYTES = 128 * 128 * CHANNELS * 4
SIZES_PX = (1024, 512)


def job_bytes(request: ImageRequest, num_threads: int) -> int:
    """The most that a job's pictures and the work on them take, beside the nets.

    Args:
        num_threads: how many pictures are worked on at once.
    """
    picture_bytes = request.size_px**2 * CHANNELS
    copies = WORK_COPIES + (MASK_COPIES if request.mask is not None else 0)
    num_kept = request.num_images + min(request.num_images, num_threads) * copies
    walk_bytes = 0 if request.walk is None else request.walk.num_frames * WALK_FRAME_BYTES
    return num_kept * picture_bytes + walk_bytes


def too_large(request: ImageRequest, num_threads: int, budget_bytes: int) -> EngineError:
    """What to tell somebody whose job can never fit: what it takes, what there is, and what would fit."""
    num_images = request.num_images
    asked = f"{num_images} pictures" if num_images > 1 else "One picture"
    if request.walk is not None:
        asked = f"A walk of {request.walk.num_frames} frames"
    smaller = [
        request.model_copy(update={"size_px": size_px, "num_images": number})
        for size_px in SIZES_PX
        for number in range(num_images, 0, -1)
        if size_px <= request.size_px
    ]
    fitting = [other for other in smaller if job_bytes(other, num_threads) <= budget_bytes]
    advice = "Ask whoever runs this studio to raise TESSERA_IMAGE_MEMORY_MB."
    if fitting and request.walk is None:
        advice = f"Ask for at most {fitting[0].num_images} at {fitting[0].size_px} px."
    elif request.walk is not None:
        advice = "Ask for fewer frames or the smaller size."
    return EngineError(
        "out_of_memory",
        f"{asked} of {request.size_px} px need about {_megabytes(job_bytes(request, num_threads))} MB of memory, "
        f"and all pictures of this worker may use {_megabytes(budget_bytes)} MB. {advice}",
    )


def _megabytes(num_bytes: int) -> int:
    return -(-num_bytes // 2**20)
