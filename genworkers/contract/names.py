"""Names and limits of the road between the site and the workers."""

VERSION = "0.1.0"

TEXT_QUEUE = "text"
IMAGE_QUEUE = "image"
CHECK_QUEUE = "check"
SITE_QUEUE = "site"
GENERATE_TASK_OF_KIND = {"text": "genworkers.generate_text", "image": "genworkers.generate_image"}
QUEUE_OF_KIND = {"text": TEXT_QUEUE, "image": IMAGE_QUEUE}
CHECK_TASK = "genworkers.check"

MAX_BODY_BYTES = 524_288
