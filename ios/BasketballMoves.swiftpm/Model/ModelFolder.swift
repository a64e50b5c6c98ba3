import CryptoKit
import Foundation

/// Model and contract as the export put them into the app's resources.
struct ModelFolder {
    let url: URL

    /// Throws `ModelProblem.missing` if there was no export.
    static func find() throws -> ModelFolder {
        for bundle in AppResources.bundles {
            guard let root = bundle.resourceURL else {
                continue
            }
            let url = root.appendingPathComponent("Model", isDirectory: true)
                .appendingPathComponent("Export", isDirectory: true)
            let contract = url.appendingPathComponent("ModelContract.json")
            if FileManager.default.fileExists(atPath: contract.path) {
                return ModelFolder(url: url)
            }
        }
        throw ModelProblem.missing
    }

    func readContract() throws -> ModelContract {
        do {
            return try ModelContract.read(Data(contentsOf: url.appendingPathComponent("ModelContract.json")))
        } catch let problem as ContractProblem {
            throw ModelProblem.contract(problem)
        } catch {
            throw ModelProblem.contract(.unreadable(error.localizedDescription))
        }
    }

    func package(_ contract: ModelContract) -> URL {
        url.appendingPathComponent(contract.model.file, isDirectory: true)
    }

    /// SHA-256 over names and contents of the package's files, hidden ones aside; see `Fingerprint`.
    static func fingerprint(of package: URL) throws -> String {
        guard let found = FileManager.default.enumerator(atPath: package.path) else {
            throw ModelProblem.missing
        }
        var digests: [String: String] = [:]
        while let path = found.nextObject() as? String {
            let type = found.fileAttributes?[.type] as? FileAttributeType
            let name = path.split(separator: "/").last ?? ""
            if type == .typeRegular, !name.hasPrefix(".") {
                let content = try Data(contentsOf: package.appendingPathComponent(path), options: .mappedIfSafe)
                digests[path] = SHA256.hash(data: content).hexadecimal
            }
        }
        return SHA256.hash(data: Data(Fingerprint.text(digests).utf8)).hexadecimal
    }
}

extension Sequence where Element == UInt8 {
    /// Two digits for each byte.
    var hexadecimal: String {
        map { String(format: "%02x", $0) }.joined()
    }
}
