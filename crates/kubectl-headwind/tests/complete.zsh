# Types each of the words after the first into an interactive zsh, presses Tab, and prints the line that results.
# The first word is the folder of the completion script.
zmodload zsh/zpty
zpty shell zsh -f -i

# Reads the output of the shell until it contains the text.
until_shown() {
  local part= all=
  while zpty -r shell part; do
    all+=$part
    [[ $all == *$1* ]] && { print -r -- $all; return; }
  done
  print -u2 -r -- "zsh ended: $all"
  exit 1
}

zpty -w shell "PS1=; fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -u -D"
zpty -w shell "show() { zle complete-word; print -r -- \"<\$BUFFER>\"; zle kill-buffer }; zle -N show; bindkey '^I' show"
zpty -w shell 'print rea""dy'
until_shown ready > /dev/null
for line in "$@[2,-1]"; do
  zpty -w -n shell "$line"$'\t'
  until_shown '>'
done
zpty -d shell
