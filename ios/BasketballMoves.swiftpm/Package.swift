// swift-tools-version: 5.9

// The app as a package: open the folder BasketballMoves.swiftpm in Xcode or in Swift Playgrounds.
import AppleProductTypes
import PackageDescription

let package = Package(
    name: "BasketballMoves",
    defaultLocalization: "en",
    platforms: [
        .iOS("16.0")
    ],
    products: [
        .iOSApplication(
            name: "Basketball Moves",
            targets: ["AppModule"],
            bundleIdentifier: "org.bball-pl.basketballmoves",
            displayVersion: "1.0",
            bundleVersion: "1",
            appIcon: .placeholder(icon: .camera),
            accentColor: .presetColor(.orange),
            supportedDeviceFamilies: [
                .pad,
                .phone
            ],
            supportedInterfaceOrientations: [
                .portrait,
                .landscapeRight,
                .landscapeLeft,
                .portraitUpsideDown(.when(deviceFamilies: [.pad]))
            ],
            capabilities: [
                .camera(
                    purposeString:
                        "The camera's pictures are classified on this device, while the live screen is open. They never leave it. 即時畫面開啟時，相機影像只在本機辨識，不會離開這部裝置。"
                ),
                .photoLibraryAdd(
                    purposeString:
                        "Saves a photo to your library when you choose Save Image in the share sheet. 只有在分享選單選擇「儲存影像」時，才會把照片存入圖庫。"
                )
            ],
            additionalInfoPlistContentFilePath: "AdditionalInfo.plist"
        )
    ],
    targets: [
        .executableTarget(
            name: "AppModule",
            path: ".",
            exclude: [
                "AdditionalInfo.plist",
                "Tests"
            ],
            resources: [
                .copy("Resources/Model"),
                .copy("Resources/PrivacyInfo.xcprivacy"),
                .process("Resources/Strings")
            ]
        ),
        .testTarget(
            name: "AppModuleTests",
            dependencies: ["AppModule"],
            path: "Tests",
            resources: [
                .copy("vectors.json")
            ]
        )
    ]
)
