// SPDX-License-Identifier: MIT
//! async-graphql on axum: queries over HTTP/1.1 and HTTP/2, subscriptions over WebSocket, all at /graphql.
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Schema, SimpleObject, Subscription};
use async_graphql_axum::{GraphQL, GraphQLSubscription};
use axum::Router;
use axum::routing::get_service;
use axum::serve::ListenerExt;
use futures_util::{Stream, StreamExt};
use rusqlite::Connection;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(SimpleObject)]
#[graphql(complex)]
struct User {
    id: ID,
    name: String,
    email: String,
}

#[derive(SimpleObject)]
#[graphql(complex)]
struct Post {
    id: ID,
    title: String,
    #[graphql(skip)]
    author_id: usize,
}

#[derive(SimpleObject)]
struct Item {
    id: ID,
    name: String,
    description: String,
    price: f64,
    quantity: i32,
    available: bool,
    colour: String,
    weight: f64,
    rating: i32,
    supplier: String,
}

#[derive(SimpleObject)]
#[graphql(complex)]
struct Entry {
    id: ID,
    title: String,
    #[graphql(skip)]
    author_id: usize,
}

#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Friendly,
    Formal,
}

#[derive(InputObject)]
struct PersonInput {
    name: String,
    age: i32,
    #[graphql(default)]
    tags: Vec<String>,
}

#[derive(SimpleObject)]
struct Greeting {
    lines: Vec<String>,
    tone: Tone,
    age: i32,
    tags: Vec<String>,
}

#[derive(SimpleObject)]
struct Note {
    id: ID,
    text: String,
}

#[derive(SimpleObject, Clone)]
struct Message {
    text: String,
}

/// The data that all servers of the benchmark make for themselves.
struct Data {
    users: Vec<Arc<User>>,
    posts_of: HashMap<ID, Vec<Post>>,
    items: Vec<Item>,
    feed: Vec<Entry>,
}

impl Data {
    fn new() -> Self {
        let users = (1..=10).map(|u| {
            Arc::new(User { id: u.into(), name: format!("User number {u}"), email: format!("user{u}@example.com") })
        });
        let posts = |u: usize| {
            (u * 10 - 9..=u * 10)
                .map(|id| Post { id: id.into(), title: format!("Post number {id} today"), author_id: u })
                .collect()
        };
        let item = |i: i32| Item {
            id: i.into(),
            name: format!("Item number {i}"),
            description: format!("What item {i} is good for, in a sentence of some words"),
            price: f64::from(i) + 0.25,
            quantity: i % 17,
            available: i % 3 != 0,
            colour: ["red", "green", "blue", "white"][i as usize % 4].to_owned(),
            weight: f64::from(i) / 8.0,
            rating: i % 5 + 1,
            supplier: format!("Supplier {}", i % 10),
        };
        let entry = |i: usize| Entry { id: i.into(), title: format!("Entry number {i}"), author_id: i % 10 + 1 };
        Data {
            users: users.collect(),
            posts_of: (1..=10).map(|u| (u.into(), posts(u))).collect(),
            items: (1..=1000).map(item).collect(),
            feed: (1..=100).map(entry).collect(),
        }
    }

    fn user(&self, id: usize) -> &Arc<User> {
        &self.users[id - 1]
    }
}

#[ComplexObject]
impl User {
    async fn posts<'a>(&self, ctx: &Context<'a>) -> &'a [Post] {
        &ctx.data_unchecked::<Arc<Data>>().posts_of[&self.id]
    }
}

#[ComplexObject]
impl Post {
    async fn author<'a>(&self, ctx: &Context<'a>) -> &'a User {
        ctx.data_unchecked::<Arc<Data>>().user(self.author_id)
    }
}

#[ComplexObject]
impl Entry {
    async fn author(&self, ctx: &Context<'_>) -> async_graphql::Result<Arc<User>> {
        let user = ctx.data_unchecked::<DataLoader<Users>>().load_one(self.author_id).await?;
        user.ok_or_else(|| format!("there is no user {}", self.author_id).into())
    }
}

struct Users(Arc<Data>);

impl Loader<usize> for Users {
    type Value = Arc<User>;
    type Error = async_graphql::Error;

    async fn load(&self, ids: &[usize]) -> Result<HashMap<usize, Arc<User>>, Self::Error> {
        Ok(ids.iter().map(|&id| (id, self.0.user(id).clone())).collect())
    }
}

struct Query;

#[Object]
impl Query {
    async fn hello(&self) -> &str {
        "world"
    }

    async fn users<'a>(&self, ctx: &Context<'a>) -> &'a [Arc<User>] {
        &ctx.data_unchecked::<Arc<Data>>().users
    }

    async fn items<'a>(&self, ctx: &Context<'a>) -> &'a [Item] {
        &ctx.data_unchecked::<Arc<Data>>().items
    }

    async fn feed<'a>(&self, ctx: &Context<'a>) -> &'a [Entry] {
        &ctx.data_unchecked::<Arc<Data>>().feed
    }

    async fn greet(
        &self,
        person: PersonInput,
        #[graphql(default = 1)] times: i32,
        #[graphql(default_with = "Tone::Friendly")] tone: Tone,
    ) -> Greeting {
        let line = match tone {
            Tone::Friendly => format!("Hello, {}!", person.name),
            Tone::Formal => format!("Good day, {}.", person.name),
        };
        Greeting { lines: (0..times).map(|_| line.clone()).collect(), tone, age: person.age, tags: person.tags }
    }
}

/// A connection is used by one thread at a time, and never by one of those that serve requests.
type Notes = Arc<Mutex<Connection>>;

fn open_notes() -> rusqlite::Result<Notes> {
    let db = match std::env::var_os("BENCH_DB") {
        Some(path) => Connection::open(path)?,
        None => Connection::open_in_memory()?,
    };
    db.pragma_update(None, "journal_mode", "wal")?;
    db.pragma_update(None, "synchronous", "normal")?;
    db.execute("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)", ())?;
    Ok(Arc::new(Mutex::new(db)))
}

struct Mutation;

#[Object]
impl Mutation {
    async fn add_note(&self, ctx: &Context<'_>, text: String) -> async_graphql::Result<Note> {
        let notes = ctx.data_unchecked::<Notes>().clone();
        let added = tokio::task::spawn_blocking(move || -> rusqlite::Result<Note> {
            let db = notes.lock().expect("no thread has panicked with the connection");
            let id = db.prepare_cached("INSERT INTO notes (text) VALUES (?)")?.insert([&text])?;
            Ok(Note { id: id.into(), text })
        });
        Ok(added.await??)
    }

    async fn publish(&self, ctx: &Context<'_>, text: String) -> bool {
        // An error says that nobody is subscribed.
        let _ = ctx.data_unchecked::<broadcast::Sender<Message>>().send(Message { text });
        true
    }
}

struct Published;

#[Subscription(name = "Subscription")]
impl Published {
    async fn published(&self, ctx: &Context<'_>) -> impl Stream<Item = async_graphql::Result<Message>> + use<> {
        let receiver = ctx.data_unchecked::<broadcast::Sender<Message>>().subscribe();
        BroadcastStream::new(receiver).map(|message| message.map_err(Into::into))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = Arc::new(Data::new());
    let schema = Schema::build(Query, Mutation, Published)
        .data(DataLoader::new(Users(data.clone()), tokio::spawn))
        .data(data)
        .data(open_notes()?)
        .data(broadcast::channel::<Message>(1024).0)
        .finish();
    let graphql = get_service(GraphQLSubscription::new(schema.clone())).post_service(GraphQL::new(schema));
    let app = Router::new().route("/graphql", graphql);
    let listener = tokio::net::TcpListener::bind(bench_peers::address()).await?;
    bench_peers::ready("http", listener.local_addr()?);
    let listener = listener.tap_io(|tcp| {
        let _ = tcp.set_nodelay(true);
    });
    axum::serve(listener, app).await?;
    Ok(())
}
