// SPDX-License-Identifier: MIT
fn main() -> std::io::Result<()> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bundles/grpc/proto");
    tonic_prost_build::configure()
        .build_client(false)
        .compile_protos(&[format!("{folder}/bench.proto")], &[folder.to_string()])
}
