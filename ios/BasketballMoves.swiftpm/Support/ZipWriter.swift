import Foundation

enum ZipProblem: Error, Equatable {
    /// Beyond 65,535 files or 4 GB a ZIP file needs extensions that this writer does not have.
    case tooLarge
}

/// A point in time as ZIP files hold it: local time, in steps of two seconds.
struct ZipTime: Equatable, Sendable {
    let date: UInt16
    let time: UInt16

    init(year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int) {
        let years = min(max(year - 1980, 0), 127)
        date = UInt16(years << 9 | month << 5 | day)
        time = UInt16(hour << 11 | minute << 5 | second / 2)
    }
}

/// Writes a ZIP file piece by piece: stored without compression (photos are compressed already), names in UTF-8.
struct ZipWriter {
    private struct Entry {
        let header: Data
        let name: Data
        let attributes: UInt32
        let offset: UInt32
    }

    private let modified: ZipTime
    private let write: (Data) throws -> Void
    private var entries: [Entry] = []
    private var position = 0
    private var directorySize = 22

    /// `write` takes the file's bytes in their order.
    init(modified: ZipTime, write: @escaping (Data) throws -> Void) {
        self.modified = modified
        self.write = write
    }

    /// `path` has forward slashes and none at its end.
    mutating func addFolder(_ path: String) throws {
        // Unix mode drwxr-xr-x in the upper half, the directory flag of DOS in the lower one.
        try add(path + "/", Data(), attributes: 0o40755 << 16 | 0x10)
    }

    /// `path` has forward slashes.
    mutating func addFile(_ path: String, _ content: Data) throws {
        try add(path, content, attributes: 0o100644 << 16)
    }

    /// Write the directory; nothing can be added afterwards.
    mutating func finish() throws {
        let start = position
        for entry in entries {
            var record = Data()
            record.append(0x0201_4B50, bytes: 4)
            record.append(0x0314, bytes: 2)
            record.append(entry.header)
            // Length of the comment, number of the disk, internal attributes.
            record.append(0, bytes: 6)
            record.append(UInt64(entry.attributes), bytes: 4)
            record.append(UInt64(entry.offset), bytes: 4)
            record.append(entry.name)
            try put(record)
        }
        let size = position - start
        var end = Data()
        end.append(0x0605_4B50, bytes: 4)
        end.append(0, bytes: 4)
        end.append(UInt64(entries.count), bytes: 2)
        end.append(UInt64(entries.count), bytes: 2)
        end.append(UInt64(size), bytes: 4)
        end.append(UInt64(start), bytes: 4)
        end.append(0, bytes: 2)
        try put(end)
    }

    private mutating func add(_ path: String, _ content: Data, attributes: UInt32) throws {
        let name = Data(path.utf8)
        // Headers of 30 bytes here and 46 in the directory, which repeats every name and comes last.
        directorySize += 46 + name.count
        let size = position + 30 + name.count + content.count + directorySize
        guard entries.count < 65_535, name.count <= 65_535, size < Int(UInt32.max) else {
            throw ZipProblem.tooLarge
        }
        // What the local header and the directory have in common. Bit 11 of the flags: the name is UTF-8.
        var header = Data()
        header.append(20, bytes: 2)
        header.append(0x0800, bytes: 2)
        header.append(0, bytes: 2)
        header.append(UInt64(modified.time), bytes: 2)
        header.append(UInt64(modified.date), bytes: 2)
        header.append(UInt64(CRC32.checksum(content)), bytes: 4)
        header.append(UInt64(content.count), bytes: 4)
        header.append(UInt64(content.count), bytes: 4)
        header.append(UInt64(name.count), bytes: 2)
        header.append(0, bytes: 2)
        entries.append(Entry(header: header, name: name, attributes: attributes, offset: UInt32(position)))
        var local = Data()
        local.append(0x0403_4B50, bytes: 4)
        local.append(header)
        local.append(name)
        try put(local)
        try put(content)
    }

    private mutating func put(_ data: Data) throws {
        try write(data)
        position += data.count
    }
}

private extension Data {
    /// Append the lowest bytes of a number, the lowest first.
    mutating func append(_ value: UInt64, bytes: Int) {
        for place in 0..<bytes {
            append(UInt8(truncatingIfNeeded: value >> UInt64(8 * place)))
        }
    }
}
