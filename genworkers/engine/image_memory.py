"""How much memory the pictures of a job take, said before it begins. No tensors here."""

from genworkers.contract import ImageRequest
from genworkers.engine.errors import EngineError

CHANNELS = 4
# Beside the picture itself: enlarging, laying it on its background or into a start picture, and its file. Measured as
# the peak of a process that draws one picture of 1024 px.
WORK_COPIES = 6
# A walk keeps its frames as the net paints them, in floats; it enlarges one at a time.
WALK_FRAME_BYTES = 128 * 128 * CHANNELS * 4
SMALLEST_PX = 512


def job_bytes(request: ImageRequest) -> int:
    """The most that a job's pictures and its work on one of them take, beside the nets."""
    picture_bytes = request.size_px**2 * CHANNELS
    if request.walk is not None:
        return request.walk.num_frames * WALK_FRAME_BYTES + (1 + WORK_COPIES) * picture_bytes
    return (request.num_images + WORK_COPIES) * picture_bytes


def too_large(request: ImageRequest, budget_bytes: int) -> EngineError:
    """What to tell somebody whose job can never fit."""
    needed = f"{_megabytes(job_bytes(request))} MB"
    what = f"{request.num_images} pictures" if request.num_images > 1 else "One picture"
    what = what if request.walk is None else f"A walk of {request.walk.num_frames} frames"
    smaller = [
        request.model_copy(update={"size_px": size_px, "num_images": num_images})
        for size_px in sorted({request.size_px, SMALLEST_PX}, reverse=True)
        for num_images in range(request.num_images, 0, -1)
    ]
    fitting = next((other for other in smaller if job_bytes(other) <= budget_bytes), None)
    if request.walk is not None:
        advice = "Ask for fewer frames or the smaller size"
    elif fitting is None:
        advice = "Ask whoever runs this studio"
    else:
        advice = f"Ask for {fitting.num_images} of {fitting.size_px} px"
    return EngineError(
        "out_of_memory",
        f"{what} of {request.size_px} px need {needed} of memory, and pictures may use "
        f"{_megabytes(budget_bytes)} MB. {advice}, or raise TESSERA_IMAGE_MEMORY_MB.",
    )


def _megabytes(num_bytes: int) -> int:
    return -(-num_bytes // 2**20)
