use super::*;

#[test]
fn the_crd_is_what_the_spec_promises() {
    let crd = crd();
    assert_eq!(crd["metadata"]["name"], "updaterequests.headwind.sh");
    assert_eq!(crd["spec"]["names"]["shortNames"], json!(["ur", "upd"]));
    let version = &crd["spec"]["versions"][0];
    assert_eq!((&version["name"], &version["subresources"]["status"]), (&json!("v1alpha1"), &json!({})));
    let columns: Vec<&str> =
        version["additionalPrinterColumns"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
    assert_eq!(columns, ["Target", "Container", "Current", "New", "Policy", "Phase", "Age", "Message"]);
    let schema = &version["schema"]["openAPIV3Schema"]["properties"];
    assert_eq!(schema["status"]["default"], json!({"phase": "Pending"}), "the phase is there from birth");
    assert_eq!(schema["spec"]["x-kubernetes-validations"][0]["rule"], "self == oldSelf");
    assert_eq!(schema["spec"]["properties"]["policy"]["enum"], json!(["none", "patch", "minor", "major", "all", "glob", "force"]));
    assert_eq!(schema["spec"]["properties"]["trigger"]["enum"], json!(["webhook", "polling", "manual"]));
    let target_kinds = &schema["spec"]["properties"]["targetRef"]["properties"]["kind"]["enum"];
    assert_eq!(*target_kinds, json!(["Deployment", "StatefulSet", "DaemonSet", "CronJob", "Rollout", "HelmRelease"]));
    let words: Vec<&str> = schema["spec"]["properties"]["updateType"]["oneOf"]
        .as_array()
        .into_iter()
        .flatten()
        .chain([&schema["spec"]["properties"]["updateType"]])
        .flat_map(|one| one["enum"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(words, ["image", "helmChart"]);
    let bare: Vec<&String> = schema["spec"]["properties"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, field)| field["description"].is_null())
        .map(|(name, _)| name)
        .collect();
    assert!(bare.is_empty(), "kubectl explain says nothing of {bare:?}");
}

fn names(account: &Account) -> Vec<String> {
    let of = |value: &Value| {
        format!(
            "{} {} {}",
            value["kind"].as_str().unwrap(),
            value["metadata"]["namespace"].as_str().unwrap_or("-"),
            value["metadata"]["name"].as_str().unwrap()
        )
    };
    rbac(account).iter().map(of).collect()
}

#[test]
fn a_role_in_each_namespace_or_one_for_all() {
    let account = |watched: &[&str]| Account {
        namespace: "own".to_owned(),
        name: "hw".to_owned(),
        watched: watched.iter().map(|name| (*name).to_owned()).collect(),
    };
    assert_eq!(
        names(&account(&[])),
        [
            "ServiceAccount own hw",
            "ClusterRole - hw",
            "ClusterRoleBinding - hw",
            "Role own hw-own",
            "RoleBinding own hw-own",
            "ClusterRole - hw-callers-own",
            "ClusterRoleBinding - hw-callers-own"
        ]
    );
    let limited = names(&account(&["a", "b"]));
    assert!(limited.contains(&"Role a hw".to_owned()) && limited.contains(&"RoleBinding b hw".to_owned()));
    let whole_cluster: Vec<&String> = limited.iter().filter(|name| name.contains("Cluster")).collect();
    assert_eq!(whole_cluster, ["ClusterRole - hw-callers-own", "ClusterRoleBinding - hw-callers-own"]);
    let asked: Vec<&str> = access::rights().iter().filter(|right| right.reach == Reach::Callers).map(|right| right.resource).collect();
    assert_eq!(asked, ["tokenreviews", "subjectaccessreviews"], "questions, and nothing that is the whole cluster's");
}

#[test]
fn no_right_is_wider_than_it_has_to_be() {
    for right in access::rights() {
        assert!(!right.verbs.contains(&"*") && right.resource != "*" && right.group != "*");
        assert!(!right.verbs.contains(&"deletecollection"), "{right:?}");
        // Secrets of others are read by name; they are not listed, watched or changed. In its own namespace, Headwind creates
        // Secrets, and follows and changes the one with its settings.
        let own = right.reach == Reach::Own && (right.verbs == ["create"] || right.name == Some("headwind"));
        assert!(right.resource != "secrets" || right.verbs == ["get"] || own, "{right:?}");
        assert!(!right.why.is_empty());
    }
}

/// A release is changed directly, or by the tag of its `OCIRepository`; a Helm repository is only read.
#[test]
fn what_is_asked_of_flux_kinds() {
    let verbs = |resource: &str| -> Vec<(&str, &[&str])> {
        access::rights().into_iter().filter(|right| right.resource == resource).map(|right| (right.group, right.verbs)).collect()
    };
    assert_eq!(verbs("helmreleases"), [("helm.toolkit.fluxcd.io", &["get", "list", "watch", "patch"][..])]);
    assert_eq!(verbs("ocirepositories"), [("source.toolkit.fluxcd.io", &["get", "list", "watch", "patch"][..])]);
    assert_eq!(verbs("helmrepositories"), [("source.toolkit.fluxcd.io", &["list", "watch"][..])]);
}

#[test]
fn yaml_is_read_back() {
    let text = yaml(&[crd(), json!({"a": "yes", "b": "1.0", "c": "it's: \"x\"\nline"})]).unwrap();
    let read: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    assert_eq!(read, [crd(), json!({"a": "yes", "b": "1.0", "c": "it's: \"x\"\nline"})]);
}

/// `kubectl patch --subresource=status` needs `get` on it. Approvers do not have `manage`.
#[test]
fn the_roles_for_people() {
    let verbs = |role: &str, resource: &str| -> Vec<String> {
        let roles = people();
        let role = roles.iter().find(|one| one["metadata"]["name"] == role).unwrap();
        let granted = role["rules"].as_array().unwrap().iter().filter(|rule| rule["resources"] == json!([resource]));
        granted.flat_map(|rule| rule["verbs"].as_array().unwrap()).map(|verb| verb.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(verbs("headwind-viewer", "updaterequests"), ["get", "list", "watch"]);
    assert!(verbs("headwind-viewer", "updaterequests/status").is_empty());
    assert_eq!(verbs("headwind-approver", "updaterequests"), ["get", "list", "watch", "approve"]);
    assert_eq!(verbs("headwind-approver", "updaterequests/status"), ["get", "update", "patch"]);
    assert!(verbs("headwind-manager", "updaterequests").contains(&"manage".to_owned()));
}

/// A time that a person writes would decide about the expiry and the place in the queue.
#[test]
fn the_policy_lets_nobody_write_the_time_of_a_decision() {
    let account = Account { namespace: "own".to_owned(), name: "hw".to_owned(), watched: Vec::new() };
    let rules = admission_policy(&account)[0]["spec"]["validations"].as_array().unwrap().clone();
    assert!(
        rules
            .iter()
            .all(|rule| !rule["expression"].as_str().unwrap().contains("edAt'") || rule["message"].as_str().unwrap().contains("reopened"))
    );
    let reopened =
        rules.iter().find(|rule| rule["message"].as_str().is_some_and(|message| message.contains("reopened a moment ago"))).unwrap();
    let expression = reopened["expression"].as_str().unwrap();
    assert!(expression.contains("'finishedAt'") && expression.contains("'rejectedBy'"), "{expression}");
}

#[test]
fn the_policy_covers_every_write_and_exempts_its_own_account() {
    let account = Account { namespace: "own".to_owned(), name: "hw".to_owned(), watched: Vec::new() };
    let policy = &admission_policy(&account)[0];
    assert_eq!(policy["spec"]["matchConstraints"]["resourceRules"][0]["operations"], json!(["CREATE", "UPDATE", "DELETE"]));
    let person = policy["spec"]["variables"].as_array().unwrap().iter().find(|one| one["name"] == "person").unwrap();
    let expression = person["expression"].as_str().unwrap();
    assert!(expression.contains("'system:serviceaccount:own:hw'") && expression.contains("generic-garbage-collector"), "{expression}");
}
