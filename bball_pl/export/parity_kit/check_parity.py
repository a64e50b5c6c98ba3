"""Show Core ML the photos of this kit and compare its answers with those of the trained model.

python3 check_parity.py [MODEL.mlpackage]
"""

import json
import sys
from pathlib import Path

import coremltools
from PIL import Image

here = Path(__file__).resolve().parent
model_path = Path(sys.argv[1]) if len(sys.argv) > 1 else here.parent / "BasketballMoves.mlpackage"
expected = json.loads((here / "expected.json").read_text(encoding="utf-8"))
model = coremltools.models.MLModel(str(model_path))
failed = 0
for item in expected["photos"]:
    photo = Image.open(here / item["photo"]).convert("RGB")
    answer = model.predict({expected["image"]: photo})
    shares, wanted = answer[expected["probabilities"]], item["probabilities"]
    difference = max(abs(shares[label] - share) for label, share in wanted.items())
    said, right = max(shares, key=shares.get), max(wanted, key=wanted.get)
    first, second = sorted(wanted.values(), reverse=True)[:2]
    good = difference <= expected["tolerance"] and (said == right or first - second < expected["tolerance"])
    failed += not good
    print(
        f"{'ok  ' if good else 'FAIL'} {item['photo']}: {said} {shares[said]:.4f}, expected {right} "
        f"{wanted[right]:.4f}, largest difference {difference:.4f}"
    )
print(f"{'FAIL' if failed else 'PASS'}: {len(expected['photos']) - failed} of {len(expected['photos'])} photos agree")
sys.exit(1 if failed else 0)
