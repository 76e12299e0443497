//! The ValidatingAdmissionPolicy that makes UpdateRequests a trustworthy record.
//!
//! RBAC decides who may write UpdateRequests and their status. The policy decides which changes are allowed. Headwind's
//! own account is exempt from every rule but the first, as are the controllers of Kubernetes that delete objects with
//! their owner or their namespace.

use serde_json::{Value, json};

use super::{Account, meta};
use crate::decision::{APPROVED, REJECTED, REOPENED};

/// The name of the policy and of its binding.
const NAME: &str = "updaterequests.headwind.sh";

/// The accounts of the garbage collector and of the namespace controller. A controller manager without an
/// account for each controller uses the last one.
const CONTROLLERS: [&str; 3] = [
    "system:serviceaccount:kube-system:generic-garbage-collector",
    "system:serviceaccount:kube-system:namespace-controller",
    "system:kube-controller-manager",
];

/// The policy and its binding.
pub fn admission_policy(account: &Account) -> Vec<Value> {
    vec![
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": meta(NAME, None),
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": ["headwind.sh"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE", "DELETE"],
                    "resources": ["updaterequests", "updaterequests/status"],
                }]},
                "variables": variables(account),
                "validations": validations(),
            },
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": meta(NAME, None),
            "spec": {"policyName": NAME, "validationActions": ["Deny"]},
        }),
    ]
}

fn variables(account: &Account) -> Vec<Value> {
    let own = format!("system:serviceaccount:{}:{}", account.namespace, account.name);
    let exempt = std::iter::once(own.as_str()).chain(CONTROLLERS).map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    let may = |verb: &str| {
        format!(
            "authorizer.group('headwind.sh').resource('updaterequests').namespace(request.namespace).name(request.name).check('{verb}').allowed()"
        )
    };
    let status =
        |object: &str, operation: &str| format!("request.operation != '{operation}' && has({object}.status) ? {object}.status : {{}}");
    let annotations = |object: &str, operation: &str| {
        format!(
            "request.operation != '{operation}' && has({object}.metadata.annotations) ? {object}.metadata.annotations.filter(key, key.startsWith('headwind.sh/')).map(key, key + '=' + {object}.metadata.annotations[key]) : []"
        )
    };
    let owned = |field: &str| {
        format!(
            "has(object.metadata.{field}) == has(oldObject.metadata.{field}) && (!has(object.metadata.{field}) || object.metadata.{field} == oldObject.metadata.{field})"
        )
    };
    let variable = |name: &str, expression: String| json!({"name": name, "expression": expression});
    vec![
        variable("person", format!("!(request.userInfo.username in [{exempt}])")),
        variable("before", status("oldObject", "CREATE")),
        variable("after", status("object", "DELETE")),
        variable("from", "'phase' in variables.before ? variables.before.phase : 'Pending'".to_owned()),
        variable("to", "'phase' in variables.after ? variables.after.phase : 'Pending'".to_owned()),
        // As `Status::can_reopen`.
        variable(
            "reopens",
            "variables.from in ['Completed', 'Rejected', 'Failed', 'Expired', 'RolledBack'] || (variables.from == 'Superseded' && 'timesApplied' in variables.before && variables.before.timesApplied > 0)".to_owned(),
        ),
        variable("decides", "variables.person && request.operation == 'UPDATE' && variables.from != variables.to".to_owned()),
        variable("annotationsBefore", annotations("oldObject", "CREATE")),
        variable("annotationsAfter", annotations("object", "DELETE")),
        variable("sameOwners", format!("request.operation != 'UPDATE' || ({} && {})", owned("ownerReferences"), owned("finalizers"))),
        variable("approver", may("approve")),
        variable("manager", may("manage")),
    ]
}

fn validations() -> Vec<Value> {
    let rule = |expression: String, message: &str| json!({"expression": expression, "message": message, "reason": "Forbidden"});
    let written = |phase: &str, field: &str| {
        format!("variables.to != '{phase}' || ('{field}' in variables.after && variables.after.{field} == request.userInfo.username)")
    };
    let only = |phase: &str, fields: &[&str]| {
        let fields = fields.iter().map(|field| format!("'{field}'")).collect::<Vec<_>>().join(", ");
        format!(
            "variables.to != '{phase}' || (variables.after.all(key, key in [{fields}] || (key in variables.before && variables.after[key] == variables.before[key])) && variables.before.all(key, key in [{fields}] || key in variables.after))"
        )
    };
    vec![
        // Applies to every account, so that Headwind can detect that the policy is in effect.
        json!({
            "expression": "request.operation != 'CREATE' || !has(object.spec.targetRef.namespace) || object.spec.targetRef.namespace == request.namespace",
            "message": "targetRef.namespace must be the request's own namespace",
        }),
        rule(
            "!variables.person || request.operation != 'CREATE' || variables.manager || (object.spec.trigger == 'manual' && (!has(object.spec.requireApproval) || object.spec.requireApproval))".to_owned(),
            "creating an UpdateRequest that is not manual, or that needs no approval, needs the verb manage on updaterequests.headwind.sh",
        ),
        rule(
            "!variables.person || request.operation != 'CREATE' || variables.manager || variables.after.all(key, key == 'phase' && variables.after.phase == 'Pending')".to_owned(),
            "creating an UpdateRequest with a status needs the verb manage on updaterequests.headwind.sh",
        ),
        rule(
            "!variables.person || request.operation != 'DELETE' || variables.from == 'Pending' || variables.manager".to_owned(),
            "deleting an UpdateRequest that is not Pending needs the verb manage on updaterequests.headwind.sh",
        ),
        rule(
            "!variables.decides || variables.approver".to_owned(),
            "changing the phase of an UpdateRequest needs the verb approve on updaterequests.headwind.sh",
        ),
        json!({
            "expression": "!variables.decides || (variables.from == 'Pending' && variables.to in ['Approved', 'Rejected']) || (variables.to == 'Pending' && variables.reopens)",
            "messageExpression": "'only Headwind may change the phase from ' + variables.from + ' to ' + variables.to",
            "reason": "Forbidden",
        }),
        rule(
            "!variables.person || request.operation != 'UPDATE' || variables.from != variables.to || variables.before == variables.after".to_owned(),
            "only Headwind may change the status while the phase stays the same",
        ),
        rule(
            format!("!variables.decides || (({}) && ({}))", written("Approved", "approvedBy"), written("Rejected", "rejectedBy")),
            "approvedBy or rejectedBy must be your own user name",
        ),
        // Otherwise approvals from before the reopening would count, and so would the person who rejected the update.
        rule(
            "!variables.decides || variables.to == 'Pending' || !('finishedAt' in variables.before || 'rejectedBy' in variables.before)".to_owned(),
            "the UpdateRequest was reopened a moment ago, and Headwind has not recorded that yet; try again",
        ),
        rule(
            "!variables.decides || variables.to != 'Approved' || !('approvals' in variables.before) || !variables.before.approvals.exists(approval, approval.by == request.userInfo.username)".to_owned(),
            "you have already approved this UpdateRequest; another person must approve",
        ),
        rule(
            "!variables.decides || variables.to != 'Approved' || !has(object.spec.approvals) || object.spec.approvals < 2 || !('previouslyRejectedBy' in variables.before) || !(request.userInfo.username in variables.before.previouslyRejectedBy)".to_owned(),
            "you rejected this UpdateRequest before, so other people must approve it",
        ),
        rule(
            format!("!variables.decides || (({}) && ({}) && ({}))", only("Approved", &APPROVED), only("Rejected", &REJECTED), only("Pending", &REOPENED)),
            "a decision may change only the phase, the message, and the name of the person; Headwind adds the time",
        ),
        rule(
            "!variables.person || request.operation == 'DELETE' || (variables.annotationsAfter.all(one, one in variables.annotationsBefore) && variables.annotationsBefore.all(one, one in variables.annotationsAfter))".to_owned(),
            "only Headwind may write annotations with the prefix headwind.sh/ on an UpdateRequest",
        ),
        rule(
            "!variables.person || variables.sameOwners || variables.manager".to_owned(),
            "changing ownerReferences or finalizers of an UpdateRequest needs the verb manage on updaterequests.headwind.sh",
        ),
    ]
}
