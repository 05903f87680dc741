//! How a domain says which tables it has.

/// The tables of a domain, each by its type, its id, its name, its key and its row; and `table_name`, which
/// knows a table's name by its id.
macro_rules! tables {
    ($($name:ident, $id:literal, $text:literal, $key:ty, $row:ty;)*) => {
        $(
            pub(super) struct $name;

            impl evenkeel_state::Table for $name {
                const ID: u8 = $id;
                const NAME: &'static str = $text;
                type Key = $key;
                type Row = $row;
            }
        )*

        /// The name of table `id`, if it is one of these.
        pub(crate) fn table_name(id: u8) -> Option<&'static str> {
            match id {
                $($id => Some($text),)*
                _ => None,
            }
        }
    };
}
pub(crate) use tables;
