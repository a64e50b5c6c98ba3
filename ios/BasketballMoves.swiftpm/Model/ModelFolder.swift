import CryptoKit
import Foundation

/// Model, contract and parity kit as the export put them into the app's resources, or as a person imported them.
struct ModelFolder {
    static let contractName = "ModelContract.json"
    static let kitName = "ParityKit"

    let url: URL
    let isImported: Bool

    /// The imported model, or else that of the resources; throws `ModelProblem.missing` if there is none.
    static func find() throws -> ModelFolder {
        if ImportedModel.exists {
            return ModelFolder(url: ImportedModel.folder, isImported: true)
        }
        for bundle in AppResources.bundles {
            guard let root = bundle.resourceURL else {
                continue
            }
            let url = root.appendingPathComponent("Model", isDirectory: true)
                .appendingPathComponent("Export", isDirectory: true)
            let contract = url.appendingPathComponent(contractName)
            if FileManager.default.fileExists(atPath: contract.path) {
                return ModelFolder(url: url, isImported: false)
            }
        }
        throw ModelProblem.missing
    }

    func readContract() throws -> ModelContract {
        do {
            return try ModelContract.read(Data(contentsOf: url.appendingPathComponent(ModelFolder.contractName)))
        } catch let problem as ContractProblem {
            throw ModelProblem.contract(problem)
        } catch {
            throw ModelProblem.contract(.unreadable(error.localizedDescription))
        }
    }

    func package(_ contract: ModelContract) -> URL {
        url.appendingPathComponent(contract.model.file)
    }

    /// The kit's folder and its content; nil if it is not there or cannot be read.
    func readKit() -> (folder: URL, kit: ParityKit)? {
        let folder = url.appendingPathComponent(ModelFolder.kitName, isDirectory: true)
        guard let data = try? Data(contentsOf: folder.appendingPathComponent("expected.json")),
            let kit = try? JSONDecoder().decode(ParityKit.self, from: data)
        else {
            return nil
        }
        return (folder, kit)
    }

    /// SHA-256 of a file; of a package over names and contents of its files, hidden ones aside; see `Fingerprint`.
    static func fingerprint(of package: URL) throws -> String {
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: package.path, isDirectory: &isFolder), !isFolder.boolValue {
            return SHA256.hash(data: try Data(contentsOf: package, options: .mappedIfSafe)).hexadecimal
        }
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
