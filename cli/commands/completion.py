"""Shell completion."""

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    Put it where your shell looks, such as: baray completion bash > ~/.local/share/bash-completion/completions/baray
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, "the choices are click's own"
    # The template itself: click's source() first starts a bash to ask its version, which may not be here.
    print(kind.source_template % kind(ctx.find_root().command, {}, "baray", "_BARAY_COMPLETE").source_vars())
