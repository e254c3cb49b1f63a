//! Whether an operation is about what is at a path.

use super::nodes::Node;
use super::{Layer, Operation, Rule};

/// Says whether an operation is about what there is; if not, why.
pub(super) fn suits(operation: Operation, node: Node) -> Result<(), (Rule, Layer)> {
    let is_directory = matches!(node, Node::Directory | Node::Submodule);
    let absent = (Rule::NotThere, Layer::Absent);
    let wrong = (Rule::WrongKind, Layer::Kind);
    match operation {
        Operation::CreateFile | Operation::CreateDirectory | Operation::CreateLink => match node {
            Node::Absent => Ok(()),
            _ => Err((Rule::AlreadyThere, Layer::Kind)),
        },
        Operation::RenameOver if node == Node::Absent => Ok(()),
        _ if node == Node::Absent => Err(absent),
        Operation::List | Operation::RemoveDirectory if !is_directory => Err(wrong),
        Operation::Read
        | Operation::Write
        | Operation::Truncate
        | Operation::Append
        | Operation::Execute
        | Operation::RemoveFile
        | Operation::RenameOver
        | Operation::HardLink
            if is_directory =>
        {
            Err(wrong)
        }
        Operation::Read
        | Operation::List
        | Operation::Write
        | Operation::Truncate
        | Operation::Append
        | Operation::RemoveFile
        | Operation::RemoveDirectory
        | Operation::RenameAway
        | Operation::RenameOver
        | Operation::HardLink
        | Operation::Chmod
        | Operation::SetTimes
        | Operation::Execute => Ok(()),
    }
}
