"""`kerascnn recipes`: what can be run."""

import typer

from kerascnn.cli.options import Json, RecipeName
from kerascnn.cli.output import out, print_json

app = typer.Typer(help="List the recipes, or show one.", invoke_without_command=True)


@app.callback()
def recipes(ctx: typer.Context, json: Json = False) -> None:
    """List the recipes, or show one."""
    if ctx.invoked_subcommand:
        return
    from kerascnn.recipe import list_recipes, load_recipe
    from kerascnn.show.run_tables import table_recipes

    found = [load_recipe(name) for name in list_recipes()]
    if json:
        print_json(found)
        return
    out.print(table_recipes(found))
    out.print("`kerascnn recipes show NAME` shows one whole; `kerascnn run NAME` runs it.")


@app.command()
def show(name: RecipeName, json: Json = False) -> None:
    """Show a recipe, with what the study reported for it."""
    from kerascnn.recipe import load_recipe, read_recipe_text

    recipe = load_recipe(name)
    if json:
        print_json(recipe)
        return
    text = read_recipe_text(name)
    if not out.is_terminal:
        typer.echo(text, nl=False)
        return
    from rich.syntax import Syntax

    out.print(Syntax(text, "toml", theme="ansi_dark", background_color="default", word_wrap=True))
