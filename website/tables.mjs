/** Makes wide tables, which scroll sideways, reachable by keyboard. */
export function focusableTables() {
  const visit = (node) => {
    if (node.tagName === 'table') node.properties = { ...node.properties, tabIndex: 0 };
    for (const child of node.children ?? []) visit(child);
  };
  return visit;
}
