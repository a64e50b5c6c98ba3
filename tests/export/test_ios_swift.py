"""The app under ios/, as far as it can be checked without a Mac: syntax, texts, permissions, what must not be in it."""

from __future__ import annotations

import plistlib
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bball_pl.export.metadata import CROP_POLICY
from bball_pl.moves import MOVES

from helpers.fit_runs import ROOT
from helpers.ios_camera import reachable
from helpers.ios_drawings import drawings
from helpers.ios_stubs import STUBS, symbols
from helpers.ios_swift import (
    APP,
    IOS,
    app_files,
    argument_label,
    call_of,
    code,
    literals,
    of_type,
    strings_table,
    swift_files,
    text,
    tree,
    value,
    walk,
)

LANGUAGES = ("en", "zh-Hant")
FILES = swift_files()
APP_FILES = app_files()
SCREENS = [path for path in APP_FILES if path.parent.name == "Screens"]
MANIFEST = APP / "Package.swift"
DRAWINGS = sorted((ROOT / "docs" / "images").glob("ios_*.svg"))

MODULES = {
    "AVFoundation", "AppIntents", "Combine", "CoreImage", "CoreML", "CoreTransferable", "CryptoKit", "Foundation",
    "ImageIO", "PhotosUI", "SwiftUI", "UIKit", "UniformTypeIdentifiers", "Vision",
}  # fmt: skip
#: What could carry a photo or a figure away, or bring something in.
NETWORK = (
    "URLSession", "URLRequest", "NSURLConnection", "CFNetwork", "CFSocket", "CFStream", "NWConnection", "NWListener",
    "NWBrowser", "InputStream", "OutputStream", "WKWebView", "SFSafariViewController", "AsyncImage", "CKContainer",
    "NSUbiquitous", "ubiquity", "MCSession", "MetricKit", "Firebase", "Analytics", "socket(", "http://", "https://",
    "ftp://", "AppTrackingTransparency", "ASIdentifierManager", "identifierForVendor", "BGTaskScheduler",
)  # fmt: skip


def _imports(path: Path) -> set[str]:
    return {text(node).split()[-1] for node in of_type(tree(path), "import_declaration")}


def _id(path: Path) -> str:
    return path.relative_to(IOS).as_posix()


@pytest.mark.parametrize("path", FILES, ids=_id)
def test_a_file_parses_and_is_short(path: Path) -> None:
    wrong = [(node.start_point, text(node)[:60]) for node in walk(tree(path)) if node.is_error or node.is_missing]
    assert wrong == []
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 250 or path.parent == STUBS
    if path != MANIFEST:
        assert max(map(len, lines)) <= 120


def test_the_parser_notices_faults(tmp_path: Path) -> None:
    broken = tmp_path / "Broken.swift"
    broken.write_text("struct Broken {\n    func f( -> Int { 1 }\n}\n")
    assert any(node.is_error or node.is_missing for node in walk(tree(broken)))


def test_the_structure() -> None:
    assert {path.parent.name for path in APP_FILES} == {"Model", "Camera", "Screens", "Support", APP.name}
    assert sum("@main\n" in code(path) for path in APP_FILES) == 1
    assert len(list((APP / "Tests").glob("*Tests.swift"))) >= 4


def test_logic_imports_foundation_only() -> None:
    listed = re.findall(r'"((?:Camera|Model|Support)/\w+\.swift)"', (IOS / "Package.swift").read_text())
    wanted = {"ModelContract", "ContractReading", "Answer", "Smoothing", "Rotation", "ZipWriter", "CorrectionsPlan"}
    assert wanted <= {Path(name).stem for name in listed}
    for name in listed:
        assert _imports(APP / name) == {"Foundation"}, name
    for path in APP_FILES:
        if _imports(path) == {"Foundation"} and "L(" not in code(path) and "AppResources" not in path.stem:
            assert _id(path).removeprefix(f"{APP.name}/") in listed, f"{path.name} could be tested as well"


def test_no_network_and_no_dependency() -> None:
    for path in APP_FILES:
        assert _imports(path) <= MODULES, path.name
        source = code(path)
        assert [word for word in NETWORK if word in source] == [], path.name
    manifest = code(MANIFEST)
    assert ".package(" not in manifest
    assert "NetworkConnections" not in manifest


def test_nothing_crashes_on_purpose() -> None:
    for path in APP_FILES:
        source = code(path)
        for word in ("try!", "as!", "fatalError", "preconditionFailure", "assertionFailure", "unowned"):
            assert word not in source, (path.name, word)
        assert re.findall(r"[\w)\]]!(?![=\w])", source) == [], path.name


def test_no_class_size_or_threshold_stands_in_swift() -> None:
    fractions = set()
    for path in APP_FILES:
        source = code(path)
        for move in MOVES:
            assert not re.search(rf"\b{move.name}\b|{move.chinese}", source, re.IGNORECASE), path.name
        assert not {text(node) for node in of_type(tree(path), "integer_literal")} & {"224", "240", "288", "299"}
        numbers = {text(node) for node in of_type(tree(path), "real_literal")}
        fractions |= {(path.stem, number) for number in numbers if 0 < float(number) < 1}
    # The quality of JPEGs, the smallest region, and the window in which a video is smoothed.
    assert fractions == {("Picture", "0.9"), ("Region", "0.125"), ("Timeline", "0.75")}


def test_every_text_is_there_in_both_languages() -> None:
    used = {value(node) for path in APP_FILES for node in literals(path) if call_of(node) == "L"}
    used = {key for key in used if re.fullmatch(r"[a-z]+(\.\w+)+", key)}
    # What Shortcuts shows is looked up by the system, with the English text as the key.
    intent = code(APP / "Support" / "ClassifyPhotoIntent.swift")
    of_intent = set(re.findall(r'(?:LocalizedStringResource = |IntentDescription\(\s*|title: )"([^"]+)"', intent))
    assert len(of_intent) == 3
    used |= of_intent
    english, chinese = (strings_table(language) for language in LANGUAGES)
    assert set(english) == used
    assert list(english) == list(chinese)
    for key, words in english.items():
        assert words.strip()
        assert chinese[key].strip()
        specifiers = [sorted(re.findall(r"%(?:(\d)\$)?(@|ld)", text)) for text in (words, chinese[key])]
        assert specifiers[0] == specifiers[1], key
        if specifiers[0]:
            assert all(text.count("%") == len(specifiers[0]) for text in (words, chinese[key])), key
            assert len(specifiers[0]) == 1 or all(position for position, _ in specifiers[0]), f"{key}: not numbered"


def test_texts_get_the_values_that_they_ask_for() -> None:
    english = strings_table("en")
    for path in APP_FILES:
        for call in of_type(tree(path), "call_expression"):
            if text(call.children[0]) != "L":
                continue
            arguments = call.children[1].named_children[0].named_children
            assert arguments[0].named_children[0].type == "line_string_literal", f"{path.name}: {text(call)}"
            key = value(arguments[0].named_children[0])
            assert len(re.findall(r"%(?:\d\$)?(?:@|ld)", english[key])) == len(arguments) - 1, f"{path.name}: {key}"


def test_no_text_stands_in_a_screen() -> None:
    for path in SCREENS:
        shown = [
            value(node)
            for node in literals(path)
            if value(node)
            and call_of(node) not in {"L", "AppStorage"}
            and argument_label(node) not in {"systemImage", "systemName", "symbol", "separator"}
        ]
        assert shown == [], path.name
    for path in set(APP_FILES) - set(SCREENS):
        assert not {"SwiftUI"} & _imports(path) or path.stem in {"BasketballMovesApp", "CameraPreview"}


def test_chinese_is_traditional_and_whole() -> None:
    table = "".join(strings_table("zh-Hant").values())
    assert len(re.findall(r"[\u4e00-\u9fff]", table)) > 500
    simplified = set("这个们动图库请开关应见视网络机单击题类过还运说发现时门间问")
    assert not simplified & set(table)
    for key, words in strings_table("zh-Hant").items():
        assert not re.search(r"[\u4e00-\u9fff][,:;?!]", words), f"{key}: narrow punctuation"


def test_colours_and_fonts_follow_the_reader() -> None:
    for path in SCREENS:
        source = code(path)
        assert not re.search(r"Color\((red|white|hue|\.sRGB)|UIColor\((red|white|hue)|#[0-9a-fA-F]{6}", source)
        assert not re.search(r"Color\.(black|white|red|green|blue|gray|yellow|orange)\b|\.foregroundColor", source)
        assert not re.search(r"\.system\(size|Font\.custom|\.custom\(|minimumScaleFactor|lineLimit", source), path.name
        assert "preferredColorScheme" not in source
    screens = "\n".join(map(code, SCREENS))
    for word in ("accessibilityLabel", "accessibilityValue", "accessibilityHint", "ScaledMetric", "ViewThatFits"):
        assert word in screens


def test_controls_say_what_they_do() -> None:
    hinted = re.compile(r"(Picker|ShareLink)\(L?\(?.*?\n(?: {8,}.*\n)*?.*\.accessibilityHint\(", re.MULTILINE)
    for path in SCREENS:
        source = code(path)
        for symbol in re.findall(r"Image\(systemName: \w+\)[\s\S]{0,160}", source):
            assert ".accessibilityHidden(true)" in symbol, f"{path.name}: a symbol that VoiceOver reads"
        assert source.count("Picker(L(") == len(re.findall(r"\.pickerStyle", source))
    assert hinted.search(code(APP / "Screens" / "EntryView.swift"))


def test_frames_are_dropped_never_queued() -> None:
    session, worker = code(APP / "Camera" / "CameraSession.swift"), code(APP / "Camera" / "FrameWorker.swift")
    assert "alwaysDiscardsLateVideoFrames = true" in session
    assert "setSampleBufferDelegate(worker, queue: frames)" in session
    assert "gate.enter()" in worker
    assert "DispatchQueue" not in worker
    assert "Task" not in worker
    assert "worker.shown()" in code(APP / "Camera" / "LiveModel.swift")


def test_visions_option_follows_the_fit_policy() -> None:
    names = set(CROP_POLICY.values())
    declared = re.search(r"enum CropAndScale.*?\{(.*?)\}", code(APP / "Model" / "ModelContract.swift"), re.DOTALL)
    assert declared is not None
    assert set(re.findall(r"case (\w+)", declared[1])) == names
    classifier = code(APP / "Model" / "Classifier.swift")
    assert dict(re.findall(r"case \.(\w+): return \.(\w+)", classifier)) == {name: name for name in names}
    assert "imageCropAndScaleOption = crop.option" in classifier


def test_the_manifest_and_its_permissions() -> None:
    manifest = MANIFEST.read_text(encoding="utf-8")
    assert '.iOS("16.0")' in manifest
    assert 'defaultLocalization: "en"' in manifest
    purposes = dict(re.findall(r'\.(\w+)\(\s*purposeString:\s*"([^"]+)"\s*\)', manifest))
    assert set(purposes) == {"camera", "photoLibraryAdd"}
    uses = {"camera": "NSCameraUsageDescription", "photoLibraryAdd": "NSPhotoLibraryAddUsageDescription"}
    for name, key in uses.items():
        # Both languages in one text, for where the tables of the package are not looked at.
        assert purposes[name] == " ".join(strings_table(language, "InfoPlist")[key] for language in LANGUAGES)
    for orientation in ("portrait", "landscapeLeft", "landscapeRight"):
        assert f".{orientation}" in manifest
    named = re.findall(r'\.(?:copy|process)\("([^"]+)"\)', manifest)
    assert named == ["Resources/Model", "Resources/PrivacyInfo.xcprivacy", "Resources/Strings", "vectors.json"]
    for name in [*named[:3], "Tests", "AdditionalInfo.plist", "Tests/vectors.json"]:
        assert (APP / name).exists(), name
    info = plistlib.loads((APP / "AdditionalInfo.plist").read_bytes())
    assert info["CFBundleLocalizations"] == list(LANGUAGES)
    assert info["ITSAppUsesNonExemptEncryption"] is False


def test_reasons_are_declared_for_what_needs_one() -> None:
    info = plistlib.loads((APP / "Resources" / "PrivacyInfo.xcprivacy").read_bytes())
    assert (info["NSPrivacyTracking"], info["NSPrivacyTrackingDomains"]) == (False, [])
    assert info["NSPrivacyCollectedDataTypes"] == []
    declared = {
        item["NSPrivacyAccessedAPIType"].removeprefix("NSPrivacyAccessedAPICategory"): item[
            "NSPrivacyAccessedAPITypeReasons"
        ]
        for item in info["NSPrivacyAccessedAPITypes"]
    }
    sources = "\n".join(map(code, APP_FILES))
    # Apple's categories, and the words by which their API is known.
    words = {
        "UserDefaults": r"@AppStorage|UserDefaults",
        "SystemBootTime": r"systemUptime|mach_absolute_time|DispatchTime\.now\(\)\.uptime",
        "FileTimestamp": r"creationDate|modificationDate|contentModificationDateKey|\bstat\(",
        "DiskSpace": r"volumeAvailableCapacity|systemFreeSize|statfs",
        "ActiveKeyboards": r"activeInputModes",
    }
    assert set(declared) == {name for name, pattern in words.items() if re.search(pattern, sources)}
    assert declared == {"UserDefaults": ["CA92.1"], "SystemBootTime": ["35F9.1"]}


def test_live_keeps_one_camera_view_and_every_dead_end_has_a_way_out() -> None:
    live, root = code(APP / "Screens" / "LiveScreen.swift"), code(APP / "Screens" / "RootView.swift")
    assert live.count("CameraPreview(") == 1
    assert "AnyLayout(" in live
    assert not re.search(r"if height == \.compact|if isWide", live)
    problem = root[root.index("struct ModelProblemView") : root.index("struct NoticeView")]
    for way in ("ComputePicker()", "app.load(compute)", "ImportButton()", "app.removeImported(compute)"):
        assert way in problem
    watch = code(APP / "Camera" / "CameraWatch.swift")
    for event in (".runtimeError", ".interrupted", ".interruptionEnded", ".heat("):
        assert event in watch


def test_photos_of_the_kit_never_enter_the_history() -> None:
    for name in ("Model/DeviceCheck.swift", "Screens/DeviceCheckScreen.swift", "Support/ClassifyPhotoIntent.swift"):
        assert not re.search(r"history|HistoryStore|HistoryEntry", code(APP / name), re.IGNORECASE), name
    assert "DeviceCheck.run" in (APP / "Tests" / "DeviceCheckTests.swift").read_text(encoding="utf-8")


def test_the_library_is_not_read_without_being_asked() -> None:
    sources = "\n".join(map(code, APP_FILES))
    assert "PHPhotoLibrary" not in sources
    assert "PHAsset" not in sources
    assert "PhotosPicker(" in sources


def test_drawings_are_made_of_the_apps_texts() -> None:
    made = drawings()
    assert {path.name for path in DRAWINGS} == set(made)
    for path in DRAWINGS:
        remedy = "run python tests/helpers/ios_drawings.py"
        assert path.read_text(encoding="utf-8") == made[path.name], f"{path.name} is out of date: {remedy}"


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.name)
def test_drawings_are_marked_as_drawings(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    title = root.find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.text is not None
    assert "drawing" in title.text.lower()
    words = " ".join("".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text"))
    assert "Drawing, not a screenshot" in words
    assert "<image" not in path.read_text(encoding="utf-8")
    assert f"../docs/images/{path.name}" in (IOS / "README.md").read_text(encoding="utf-8")


def test_the_readme_says_what_was_not_checked() -> None:
    readme = (IOS / "README.md").read_text(encoding="utf-8")
    assert len(DRAWINGS) >= 4
    checked, unchecked = (readme.index(f"\n## {heading}") for heading in ("What was checked", "What was not checked"))
    steps = readme.index("\n## On a phone in five steps")
    assert steps < checked < unchecked
    part = readme[steps:checked]
    assert re.findall(r"^(\d)\. ", part, re.MULTILINE) == list("12345")
    assert "parity_kit" in part.split("\n2. ")[0], "the parity kit comes first"
    assert "device.json" in part.split("\n5. ")[1]
    assert "ever compiled with Apple's SDK" in " ".join(readme.split())
    counted = re.search(r"all ([\d,]+) states", readme), re.search(r"of the (\d+) symbols", readme)
    assert [int(found[1].replace(",", "")) for found in counted if found] == [len(reachable()), len(symbols())]
    tests = sum(code(path).count("    func test") for path in (APP / "Tests").glob("*.swift"))
    # One of them needs Core ML.
    assert f"its {tests - 1} XCTest cases" in readme
