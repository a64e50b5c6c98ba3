import Foundation

/// Why a ModelContract.json cannot be used.
enum ContractProblem: Error, Equatable {
    case unreadable(String)
    case missingKey(String)
    case otherSchema(Int)
    case tooFewClasses(Int)
    case doubleClass(String)
    case unsafeName(String)
    case unknownCrop(String)
    case outOfRange(String)
}

extension ModelContract {
    /// The only version of the keys that this app knows.
    static let knownSchema = 1

    /// Decode and check a contract; throws a `ContractProblem`.
    static func read(_ data: Data) throws -> ModelContract {
        try checkKeys(data)
        let contract: ModelContract
        do {
            contract = try JSONDecoder().decode(ModelContract.self, from: data)
        } catch {
            throw ContractProblem.unreadable(String(describing: error))
        }
        if let problem = contract.problem {
            throw problem
        }
        return contract
    }

    var crop: CropAndScale? {
        CropAndScale(rawValue: input.cropAndScale)
    }

    func modelClass(named name: String) -> ModelClass? {
        classes.first { $0.name == name }
    }

    private static func checkKeys(_ data: Data) throws {
        let parsed = try? JSONSerialization.jsonObject(with: data)
        guard let object = parsed as? [String: Any] else {
            throw ContractProblem.unreadable("not a JSON object")
        }
        guard let schema = object["schema"] as? Int else {
            throw ContractProblem.missingKey("schema")
        }
        guard schema == knownSchema else {
            throw ContractProblem.otherSchema(schema)
        }
        // A null says "none is known"; a key that is not there says that something went wrong.
        for key in ["threshold", "accuracy"] where object[key] == nil {
            throw ContractProblem.missingKey(key)
        }
    }

    var problem: ContractProblem? {
        if classes.count < 2 {
            return .tooFewClasses(classes.count)
        }
        var labels = Set<String>()
        var names = Set<String>()
        for item in classes {
            if !labels.insert(item.label).inserted || !names.insert(item.name).inserted {
                return .doubleClass(item.label)
            }
            if !FolderName.isSafe(item.name) {
                return .unsafeName(item.name)
            }
        }
        if !FolderName.isSafe(model.file) {
            return .unsafeName(model.file)
        }
        if crop == nil {
            return .unknownCrop(input.cropAndScale)
        }
        if let threshold, !(0...1).contains(threshold) {
            return .outOfRange("threshold")
        }
        if input.size < 1 {
            return .outOfRange("size")
        }
        if live.smoothingFrames < 1 || live.forgetAfterSeconds <= 0 {
            return .outOfRange("live")
        }
        return nil
    }
}
