//! Serves a script as a model until it is killed: `scripted-model SCRIPT.yaml --port-file FILE`.

use std::error::Error;
use std::{env, fs, thread};

use e2e::model_server::{ModelServer, Script};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [script, option, port_file] = arguments.as_slice() else {
        return Err("usage: scripted-model SCRIPT.yaml --port-file FILE".into());
    };
    if option != "--port-file" {
        return Err(format!("no option `{option}`").into());
    }
    let server = ModelServer::start(Script::parse(&fs::read_to_string(script)?)?)?;
    // Renamed into place, so that whoever waits for the file never reads half a number.
    let partial = format!("{port_file}.partial");
    fs::write(&partial, server.port().to_string())?;
    fs::rename(&partial, port_file)?;
    loop {
        thread::park();
    }
}
