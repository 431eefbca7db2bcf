"""Whether the sample inputs of a pt2 archive are one tensor: `torch.save` pickles them.

`torch.export.load` falls back to an unpickler that runs anything. It must not unpickle.
"""

import io
import pickletools
import re
import zipfile

# What `torch.save` of a tuple of tensors writes, and nothing that calls anything else.
_GLOBALS = frozenset(
    {"torch._utils _rebuild_tensor_v2", "torch FloatStorage", "collections OrderedDict"}
)
_OPCODES = frozenset(
    {
        "PROTO", "GLOBAL", "BINPUT", "LONG_BINPUT", "BINGET", "MARK", "BINUNICODE",
        "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
        "EMPTY_TUPLE", "EMPTY_DICT", "NEWFALSE", "NEWTRUE", "BINPERSID", "REDUCE", "STOP",
    }
)  # fmt: skip
_ENTRY = re.compile(
    r"archive/(data\.pkl|data/\d{1,4}|\.format_version|\.storage_alignment|byteorder|version"
    r"|\.data/serialization_id)"
)
_MOST_PICKLE = 1 << 16


def check_sample_inputs(content: bytes) -> None:
    """Return if these bytes are tensors as `torch.save` writes them.

    Raises:
        ValueError: they hold a pickle that does anything but build tensors.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.infolist():
                is_plain = entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & 0x1
                if not _ENTRY.fullmatch(entry.orig_filename) or not is_plain:
                    raise ValueError("sample inputs that are no tensors")
            names = archive.namelist()
            if len(set(names)) != len(names) or "archive/data.pkl" not in names:
                raise ValueError("sample inputs that are no tensors")
            if archive.getinfo("archive/data.pkl").file_size > _MOST_PICKLE:
                raise ValueError("sample inputs with an endless pickle")
            pickle = archive.read("archive/data.pkl")
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise ValueError("sample inputs that are no tensors") from error
    for opcode, argument, _ in pickletools.genops(pickle):
        is_call = opcode.name == "GLOBAL" and argument not in _GLOBALS
        if opcode.name not in _OPCODES or is_call:
            raise ValueError(f"a pickle with {opcode.name} {argument!a} in its sample inputs")
