// SPDX-License-Identifier: MIT
//! bench.v1.Bench on tonic.
use std::pin::Pin;

use futures_util::{Stream, StreamExt, stream};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod v1 {
    tonic::include_proto!("bench.v1");
}
use v1::bench_server::{Bench, BenchServer};
use v1::{HelloReply, HelloRequest, Order};

type Replies = Pin<Box<dyn Stream<Item = Result<HelloReply, Status>> + Send>>;

struct Service;

fn hello(request: &HelloRequest) -> HelloReply {
    HelloReply { message: format!("Hello {}", request.name) }
}

#[tonic::async_trait]
impl Bench for Service {
    type StreamStream = Replies;
    type ChatStream = Replies;

    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        Ok(Response::new(hello(request.get_ref())))
    }

    async fn nested(&self, request: Request<Order>) -> Result<Response<Order>, Status> {
        let mut order = request.into_inner();
        order.total = order.lines.iter().map(|line| line.price * f64::from(line.quantity)).sum();
        order.set_status(v1::Status::Confirmed);
        Ok(Response::new(order))
    }

    async fn stream(&self, request: Request<HelloRequest>) -> Result<Response<Replies>, Status> {
        let request = request.into_inner();
        let replies = stream::iter(0..request.count).map(move |_| Ok(hello(&request)));
        Ok(Response::new(Box::pin(replies)))
    }

    async fn chat(&self, request: Request<Streaming<HelloRequest>>) -> Result<Response<Replies>, Status> {
        let replies = request.into_inner().map(|request| request.map(|request| hello(&request)));
        Ok(Response::new(Box::pin(replies)))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let incoming = TcpIncoming::bind(bench_peers::address())?.with_nodelay(Some(true));
    bench_peers::ready("grpc", incoming.local_addr()?);
    Server::builder().add_service(BenchServer::new(Service)).serve_with_incoming(incoming).await?;
    Ok(())
}
