"""The declarative base, with names for constraints so that migrations can speak of them."""

from typing import Annotated, Any

from sqlalchemy import BigInteger, Integer, MetaData
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import JSON

# SQLite counts rows up only in a column that is exactly INTEGER.
Serial = BigInteger().with_variant(Integer, "sqlite")

pk = Annotated[int, mapped_column(Serial, primary_key=True, autoincrement=True)]
big = Annotated[int, mapped_column(BigInteger)]
optional_big = Annotated[int | None, mapped_column(BigInteger)]


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, dict[str, int]: JSON, dict[str, str]: JSON}  # noqa: RUF012 - SQLAlchemy's
