//! What reflection says: the service and its messages as descriptors, as far as `messages` has them.
//! Written out here, so that a build needs no compiler of Protocol Buffers; a test holds it against
//! Envoy's own.

use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

const RLS: &str = "envoy.service.ratelimit.v3";
const COMMON: &str = "envoy.extensions.common.ratelimit.v3";
const CORE: &str = "envoy.config.core.v3";
const TYPE: &str = "envoy.type.v3";

/// The units of `envoy.type.v3`, in order; a response's `Unit` has one more.
const UNITS: [&str; 7] = ["UNKNOWN", "SECOND", "MINUTE", "HOUR", "DAY", "MONTH", "YEAR"];

/// The service, and every file that it needs.
pub(super) fn files() -> FileDescriptorSet {
    FileDescriptorSet { file: vec![duration(), wrappers(), unit(), header(), common(), service()] }
}

fn duration() -> FileDescriptorProto {
    let fields = [field("seconds", 1, Type::Int64), field("nanos", 2, Type::Int32)];
    let messages = [message("Duration", fields)];
    file("google/protobuf/duration.proto", "google.protobuf", [], messages)
}

fn wrappers() -> FileDescriptorProto {
    let messages = [message("UInt64Value", [field("value", 1, Type::Uint64)])];
    file("google/protobuf/wrappers.proto", "google.protobuf", [], messages)
}

fn unit() -> FileDescriptorProto {
    let mut file = file("envoy/type/v3/ratelimit_unit.proto", TYPE, [], []);
    file.enum_type = vec![enumeration("RateLimitUnit", &UNITS)];
    file
}

fn header() -> FileDescriptorProto {
    let fields = [field("key", 1, Type::String), field("value", 2, Type::String)];
    file("envoy/config/core/v3/base.proto", CORE, [], [message("HeaderValue", fields)])
}

fn common() -> FileDescriptorProto {
    let entry = message("Entry", [field("key", 1, Type::String), field("value", 2, Type::String)]);
    let limit = message(
        "RateLimitOverride",
        [
            field("requests_per_unit", 1, Type::Uint32),
            field("unit", 2, Type::Enum).of(format!(".{TYPE}.RateLimitUnit")),
        ],
    );
    let name = format!(".{COMMON}.RateLimitDescriptor");
    let mut descriptor = message(
        "RateLimitDescriptor",
        [
            field("entries", 1, Type::Message).of(format!("{name}.Entry")).repeated(),
            field("limit", 2, Type::Message).of(format!("{name}.RateLimitOverride")),
            field("hits_addend", 3, Type::Message).of(".google.protobuf.UInt64Value".to_owned()),
            field("is_negative_hits", 4, Type::Bool),
        ],
    );
    descriptor.nested_type = vec![entry, limit];
    file(
        "envoy/extensions/common/ratelimit/v3/ratelimit.proto",
        COMMON,
        ["envoy/type/v3/ratelimit_unit.proto", "google/protobuf/wrappers.proto"],
        [descriptor],
    )
}

fn service() -> FileDescriptorProto {
    let request = message(
        "RateLimitRequest",
        [
            field("domain", 1, Type::String),
            field("descriptors", 2, Type::Message)
                .of(format!(".{COMMON}.RateLimitDescriptor"))
                .repeated(),
            field("hits_addend", 3, Type::Uint32),
        ],
    );
    let mut file = file(
        "envoy/service/ratelimit/v3/rls.proto",
        RLS,
        [
            "envoy/config/core/v3/base.proto",
            "envoy/extensions/common/ratelimit/v3/ratelimit.proto",
            "google/protobuf/duration.proto",
        ],
        [request, response()],
    );
    file.service = vec![ServiceDescriptorProto {
        name: Some("RateLimitService".to_owned()),
        method: vec![MethodDescriptorProto {
            name: Some("ShouldRateLimit".to_owned()),
            input_type: Some(format!(".{RLS}.RateLimitRequest")),
            output_type: Some(format!(".{RLS}.RateLimitResponse")),
            ..MethodDescriptorProto::default()
        }],
        ..ServiceDescriptorProto::default()
    }];
    file
}

fn response() -> DescriptorProto {
    let name = format!(".{RLS}.RateLimitResponse");
    let mut limit = message(
        "RateLimit",
        [
            field("requests_per_unit", 1, Type::Uint32),
            field("unit", 2, Type::Enum).of(format!("{name}.RateLimit.Unit")),
            field("name", 3, Type::String),
        ],
    );
    let mut units = UNITS.to_vec();
    units.push("WEEK");
    limit.enum_type = vec![enumeration("Unit", &units)];
    let status = message(
        "DescriptorStatus",
        [
            field("code", 1, Type::Enum).of(format!("{name}.Code")),
            field("current_limit", 2, Type::Message).of(format!("{name}.RateLimit")),
            field("limit_remaining", 3, Type::Uint32),
            field("duration_until_reset", 4, Type::Message)
                .of(".google.protobuf.Duration".to_owned()),
        ],
    );
    let mut response = message(
        "RateLimitResponse",
        [
            field("overall_code", 1, Type::Enum).of(format!("{name}.Code")),
            field("statuses", 2, Type::Message).of(format!("{name}.DescriptorStatus")).repeated(),
            field("response_headers_to_add", 3, Type::Message)
                .of(format!(".{CORE}.HeaderValue"))
                .repeated(),
        ],
    );
    response.enum_type = vec![enumeration("Code", &["UNKNOWN", "OK", "OVER_LIMIT"])];
    response.nested_type = vec![limit, status];
    response
}

fn file<const D: usize, const M: usize>(
    name: &str,
    package: &str,
    dependencies: [&str; D],
    messages: [DescriptorProto; M],
) -> FileDescriptorProto {
    FileDescriptorProto {
        name: Some(name.to_owned()),
        package: Some(package.to_owned()),
        dependency: dependencies.map(str::to_owned).into(),
        message_type: messages.into(),
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    }
}

fn message<const F: usize>(name: &str, fields: [Field; F]) -> DescriptorProto {
    DescriptorProto {
        name: Some(name.to_owned()),
        field: fields.map(|Field(field)| field).into(),
        ..DescriptorProto::default()
    }
}

/// A field on its way into its message.
struct Field(FieldDescriptorProto);

fn field(name: &str, number: i32, kind: Type) -> Field {
    Field(FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(kind.into()),
        ..FieldDescriptorProto::default()
    })
}

impl Field {
    fn of(mut self, type_name: String) -> Self {
        self.0.type_name = Some(type_name);
        self
    }

    fn repeated(mut self) -> Self {
        self.0.label = Some(Label::Repeated.into());
        self
    }
}

/// An enumeration whose values are numbered from 0.
fn enumeration(name: &str, values: &[&str]) -> EnumDescriptorProto {
    let value = |(number, name): (i32, &&str)| EnumValueDescriptorProto {
        name: Some((*name).to_owned()),
        number: Some(number),
        ..EnumValueDescriptorProto::default()
    };
    EnumDescriptorProto {
        name: Some(name.to_owned()),
        value: (0..).zip(values).map(value).collect(),
        ..EnumDescriptorProto::default()
    }
}
